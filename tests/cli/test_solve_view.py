"""The views, fed with events as the graph sends them."""

import io
import json
import re
from dataclasses import asdict, replace
from typing import Any

import pytest
from rich.console import Console

from rsd_graph.cli.solve_view import JSONView, Result, TerminalView, View
from rsd_graph.costs import Flops
from rsd_graph.errors import ModelError
from rsd_graph.events import RSDEvent
from rsd_graph.state import RSDOutput, Step, Stop, TokenUsage, Usage

ACCEPTED: list[RSDEvent] = [
    {"event": "proposed", "step": 0, "text": "2+2 is 4", "finish": "delimiter", "tokens": 5},
    {"event": "scored", "step": 0, "reward": 0.75, "accepted": True},
    {"event": "kept", "step": 0, "text": "2+2 is 4", "author": "draft", "reward": 0.75},
]
REPLACED: list[RSDEvent] = [
    {"event": "proposed", "step": 1, "text": "so 5", "finish": "delimiter", "tokens": 2},
    {"event": "scored", "step": 1, "reward": 0.1, "accepted": False},
    {"event": "replaced", "step": 1, "text": "\nso\n4", "finish": "eos", "tokens": 3},
    {"event": "kept", "step": 1, "text": "\nso\n4", "author": "target", "reward": 0.1},
]
BLANK: list[RSDEvent] = [
    {"event": "proposed", "step": 0, "text": "\n", "finish": "delimiter", "tokens": 1},
    {"event": "scored", "step": 0, "reward": None, "accepted": False},
    {"event": "replaced", "step": 0, "text": "", "finish": "delimiter", "tokens": 1},
]
STEPS = [Step("2+2 is 4", "draft", 0.75, tokens=5), Step("so 4", "target", 0.1, "eos", tokens=3)]
USAGE = Usage(draft=TokenUsage(20, 10, 7), target=TokenUsage(15, 0, 3), discarded=2, question=10, response=8)


def finished(stop: Stop, answer: str | None) -> RSDEvent:
    return {"event": "finished", "stop": stop, "answer": answer, "steps": 2}


def result(stop: Stop = "eos", answer: str | None = "4", flops: Flops | None = None) -> Result:
    output: RSDOutput = {
        "response": "2+2 is 4\n\nso 4",
        "answer": answer,
        "steps": STEPS,
        "stop": stop,
        "usage": USAGE,
        "messages": [],
    }
    return Result(output, 1.23456, flops)


def feed(view: View, *events: RSDEvent) -> None:
    view.loading()
    view.started()
    for event in events:
        view.event(event)


def on_terminal(width: int = 60) -> tuple[TerminalView, io.StringIO]:
    """A view on a terminal with colours, and what it shows; without the line that says who is writing."""
    view = TerminalView()
    out = io.StringIO()
    view._out = Console(file=out, force_terminal=True, color_system="standard", width=width, highlight=False)
    view._waiting = None
    return view, out


def test_an_accepted_step_is_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    """With its number, author and reward."""
    feed(TerminalView(), *ACCEPTED)
    assert capsys.readouterr() == ("  1  draft  ██████░░ 0.75\n     2+2 is 4\n\n", "")


def test_a_replaced_step_is_shown_twice(capsys: pytest.CaptureFixture[str]) -> None:
    """The rejected draft with its reward, then the target's step without one, and without blank lines around it."""
    feed(TerminalView(), *REPLACED)
    assert capsys.readouterr().out == (
        "  2  draft  █░░░░░░░ 0.10  rejected\n     so 5\n\n  2  target \n     so\n     4\n\n"
    )


def test_a_terminal_shows_the_end_of_what_the_target_writes() -> None:
    """It grows, holds no more lines than a small terminal, obeys nothing, and gives way to the whole step."""
    view = TerminalView()
    out = io.StringIO()
    view._out = Console(file=out, force_terminal=True, color_system=None, width=60, height=20)
    view._waiting = view._out.status("")
    assert view.is_live
    said: list[str] = []
    shown: Any = view._waiting
    shown.update = lambda text: said.append(str(text))
    feed(view, *ACCEPTED)
    view.text("2+2 is 4")  # the step that was kept
    *_, rejected, replaced, kept = REPLACED
    view.event(rejected)
    for piece in ("\n\nso", " 4\x1b[2J", "".join(f"\nline {number}" for number in range(20))):
        view.text(piece)
    view.event(replaced)
    view.event(kept)
    view.text("\n4")
    assert said[2:] == [
        "the draft writes step 2",
        "the target rewrites step 2",
        "so",
        "so 4\\x1b[2J",
        "\n".join(f"line {number}" for number in range(14, 20)),
        "the draft writes step 3",
    ]
    assert "  2  target" in out.getvalue()
    view.close()


def test_only_a_terminal_is_live() -> None:
    """A file and a program get whole steps: the models need not stream for them."""
    assert not TerminalView().is_live
    assert not JSONView().is_live


def test_blank_proposals_show_no_step(capsys: pytest.CaptureFixture[str]) -> None:
    """The draft's has no reward, and the target's is not kept."""
    feed(TerminalView(), *BLANK, finished("no_progress", None))
    assert capsys.readouterr().out == "  1  draft    rejected\n\n\n"


def test_a_tool_writes_a_step(capsys: pytest.CaptureFixture[str]) -> None:
    """Shown as the models' steps are."""
    feed(TerminalView(), {"event": "kept", "step": 2, "text": "4", "author": "tool", "reward": None})
    assert capsys.readouterr().out == "  3  tool   \n     4\n\n"


@pytest.mark.parametrize(
    ("reward", "bar"),
    [(0.0, "░░░░░░░░ 0.00"), (0.06, "░░░░░░░░ 0.06"), (0.5, "████░░░░ 0.50"), (1.0, "████████ 1.00")],
)
def test_a_reward_is_a_bar_and_a_number(reward: float, bar: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Eight parts, rounded."""
    feed(TerminalView(), {"event": "kept", "step": 0, "text": "x", "author": "draft", "reward": reward})
    assert capsys.readouterr().out.startswith(f"  1  draft  {bar}\n")


def test_the_result_is_an_answer_and_its_cost(capsys: pytest.CaptureFixture[str]) -> None:
    """Tokens, time and who wrote; and how the cost compares, where the models' sizes are known."""
    view = TerminalView()
    view.result(result())
    facts = "7 draft tokens · 3 target tokens · 2 discarded · 1.2 s · 1 of 2 steps by the draft"
    assert capsys.readouterr().out == f"answer  4\n        {facts}\n"
    view.result(result(flops=Flops(draft=1e9, target=2e9, reward=0, target_only=4e9)))
    assert capsys.readouterr().out == f"answer  4\n        {facts} · 0.75 times the FLOPs of the target alone\n"
    view.result(result(flops=Flops(draft=0, target=0, reward=0, target_only=0)))
    assert "FLOPs" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("stop", "why"),
    [
        ("max_steps", "stopped at the step limit (--max-steps)"),
        ("max_tokens", "stopped at the token limit (--max-tokens)"),
        ("context_overflow", "stopped: the problem and the solution together are longer than the model's context"),
        ("no_progress", "stopped: neither model wrote anything but blank lines"),
    ],
)
def test_a_run_that_stopped_early_says_why(stop: Stop, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Above the answer, if there is one."""
    TerminalView().result(result(stop, answer=None))
    assert capsys.readouterr().out.startswith(f"{why}\nanswer  none found\n")


def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever a server has said."""
    TerminalView().error(ModelError("500:\n  out of\n\nmemory [0]"))
    assert capsys.readouterr() == ("", "rsd: 500: out of memory [0]\n")


@pytest.mark.parametrize(("events", "count"), [([], "0 steps"), (ACCEPTED, "1 step"), (ACCEPTED + REPLACED, "2 steps")])
def test_an_interruption_counts_the_steps(
    events: list[RSDEvent], count: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those that are kept."""
    view = TerminalView()
    feed(view, *events)
    view.interrupted()
    assert capsys.readouterr().err == f"rsd: interrupted after {count}\n"


def test_downloads_leave_a_log_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Progress is for a terminal."""
    for view in (TerminalView(), JSONView()):
        view.loading()
        view.progress("fetching draft.gguf", 1e6, 5e8)
        view.close()
    assert capsys.readouterr() == ("", "")


def test_downloads_have_bars_on_a_terminal() -> None:
    """One for each file; they end before the first step is shown."""
    view = TerminalView()
    out = io.StringIO()
    view._err = Console(file=out, force_terminal=True, color_system=None, width=100)
    view.loading()
    view.progress("fetching draft.gguf", 1e8, 4e8)
    view.progress("merging the reward", 3, 30)
    feed(view, *ACCEPTED)
    shown = out.getvalue()
    assert re.search(r"fetching draft\.gguf [━╸]+ +25 % 100\.0/400\.0 MB ", shown)
    assert re.search(r"merging the reward +━ +10 % 3/30 ", shown)
    assert shown.endswith("\x1b[?25h")  # the cursor is back


def test_a_terminal_sees_bars_colours_and_dimmed_drafts() -> None:
    """A rejected draft is dim, a kept one is not, and LaTeX in brackets is no markup."""
    view, out = on_terminal()
    view.event({"event": "proposed", "step": 0, "text": r"\[x=5\]", "finish": "delimiter", "tokens": 4})
    view.event({"event": "scored", "step": 0, "reward": 0.25, "accepted": False})
    view.event({"event": "kept", "step": 0, "text": "x is [bold]6", "author": "target", "reward": 0.25})
    shown = out.getvalue()
    assert "██░░░░░░ 0.25" in shown
    assert "\x1b[2m\\[x=5\\]" in shown
    assert "x is [bold]6" in shown
    assert "\x1b[35mtarget" in shown


def test_a_narrow_terminal_wraps_steps_under_their_heading() -> None:
    """No line is wider than the terminal, and every line of a step is indented."""
    view, out = on_terminal(width=30)
    view.event({"event": "kept", "step": 0, "text": "word " * 12, "author": "draft", "reward": 0.5})
    heading, *body = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue()).splitlines()
    assert heading.rstrip() == "  1  draft  ████░░░░ 0.50"
    assert all(len(line) <= 30 and line.startswith(5 * " ") for line in body if line.strip())


def test_a_terminal_says_who_is_writing() -> None:
    """First the loading, then the draft, and the target once a draft is rejected."""
    view, out = on_terminal()
    said: list[str] = []
    view._wait = said.append  # type: ignore[assignment]
    feed(view, *ACCEPTED, *REPLACED)
    assert said == [
        "loading the models",
        "the draft writes step 1",
        "the draft writes step 2",
        "the target rewrites step 2",
        "the draft writes step 3",
    ]
    assert out.getvalue()


def test_json_gives_every_event_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """One object per line."""
    events = [*ACCEPTED, *REPLACED, finished("eos", "4")]
    feed(JSONView(), *events)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == events


def test_json_ends_with_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    """Exactly these keys: programs read them."""
    view = JSONView()
    view.result(result(flops=Flops(draft=1e9, target=2e9, reward=0, target_only=4e9)))
    line = json.loads(capsys.readouterr().out)
    assert line == {
        "event": "result",
        "response": "2+2 is 4\n\nso 4",
        "answer": "4",
        "stop": "eos",
        "steps": [asdict(step) for step in STEPS],
        "usage": asdict(USAGE),
        "seconds": 1.235,
        "flops": {"draft": 1e9, "target": 2e9, "reward": 0, "target_only": 4e9, "saving": 0.25},
    }
    view.result(replace(result(), flops=None))
    assert json.loads(capsys.readouterr().out)["flops"] is None


def test_json_tells_of_errors_and_interruptions(capsys: pytest.CaptureFixture[str]) -> None:
    """The error's name, its whole message, and the steps that were kept before it."""
    error = ModelError("500:\nout of memory")
    error.steps = STEPS[:1]
    JSONView().error(error)
    JSONView().interrupted()
    shown = capsys.readouterr()
    assert [json.loads(line) for line in shown.out.splitlines()] == [
        {
            "event": "error",
            "error": "ModelError",
            "message": "500:\nout of memory",
            "steps": [asdict(STEPS[0])],
        },
        {"event": "interrupted"},
    ]
    assert shown.err == ""
