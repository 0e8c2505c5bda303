import io
import re

import pytest
from rich.console import Console

from rsd_graph._internal.progress import Progress
from rsd_graph.cli.progress import StageLog, Stages


def shown(width: int, *reports: tuple[str, float, float]) -> list[str]:
    """What a terminal of this width shows in the end."""
    out = io.StringIO()
    with Stages(Console(file=out, force_terminal=True, color_system=None, width=width)) as stages:
        for report in reports:
            stages.stage(*report)
        out.truncate(0)
        out.seek(0)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", out.getvalue())
    return [line.rstrip() for line in plain.splitlines()]


def test_a_terminal_shows_a_bar_for_each_stage() -> None:
    """Bytes of files, numbers of problems, and parts of what cannot be counted."""
    lines = shown(
        100,
        ("fetching draft.gguf", 0.2e9, 1.6e9),
        ("solving problems", 10, 1000),
        ("solving problems", 12, 1000),
        ("training [LoRA]", 0.3, 1),
    )
    assert [line.split(" left")[0].rsplit(" ", 1)[0].split() for line in lines] == [
        ["fetching", "draft.gguf", "━", "12", "%", "0.2/1.6", "GB"],
        ["solving", "problems", "1", "%", "12/1000"],
        ["training", "[LoRA]", "━━━", "30", "%"],
    ]


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_narrow_terminal_shortens_names_and_not_figures(width: int) -> None:
    """One line for each stage, no wider than the terminal."""
    lines = shown(width, ("fetching qwen2.5-coder-1.5b-instruct-q4_k_m.gguf", 0.2e9, 1.6e9), ("training", 0.3, 1))
    assert len(lines) == 2
    assert all(len(line) <= width for line in lines)
    assert lines[0].startswith("fetching qwen2.5")
    assert "…" in lines[0]
    assert " 12 % " in lines[0]


def test_a_log_gets_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, plain; the first and the last report of each stage, and not every one between."""
    with Stages() as stages:
        progress: Progress = stages.stage
        for done in range(1001):
            progress("solving [all] problems", done, 1000)
        progress("training", 1, 1)
        progress("labelling steps", 0, 0)
    assert capsys.readouterr() == (
        "",
        "solving [all] problems: 0 %\nsolving [all] problems: 100 %\ntraining: 100 %\nlabelling steps: 100 %\n",
    )


def test_a_log_says_how_long_it_will_take() -> None:
    """Every half minute, from what this run has done; an earlier run's part took no time."""
    lines = StageLog("solving problems", 500, now=0)
    assert lines.report(500, 1000, now=0) == "solving problems: 50 %"
    assert lines.report(510, 1000, now=29) is None
    assert lines.report(600, 1000, now=60) == "solving problems: 60 %, 4 min left"
    assert lines.report(610, 1000, now=89) is None
    assert lines.report(1000, 1000, now=90) == "solving problems: 100 %"
