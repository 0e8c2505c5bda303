import io
import re

import pytest
from rich.console import Console

from rsd_graph.cli.serve_view import ServeView
from rsd_graph.serving.plan import ServerPlan

DRAFT = ServerPlan("draft", "org/draft", "http://127.0.0.1:8000", ("vllm", "serve", "org/draft"), (0,))
REWARD = ServerPlan("reward", "org/prm", "http://127.0.0.1:8002", ("vllm", "serve", "org/prm"))


def test_a_log_gets_a_line_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    """Without what the servers log themselves, and without those that wait for their turn."""
    view = ServeView([DRAFT, REWARD], 'ready: rsd solve "your problem"')
    view.state(DRAFT, "waiting")
    view.state(DRAFT, "starting")
    view.log(DRAFT, "loading weights")
    view.state(DRAFT, "ready")
    view.state(REWARD, "starting")
    view.state(REWARD, "ready")
    view.ready()
    view.state(DRAFT, "restarting", "ended with code 1; restart 1 in 1 s")
    view.state(DRAFT, "stopped")
    view.close()
    assert capsys.readouterr() == (
        "draft  starting   http://127.0.0.1:8000\n"
        "draft  ready      http://127.0.0.1:8000  after 0 s\n"
        "reward starting   http://127.0.0.1:8002\n"
        "reward ready      http://127.0.0.1:8002  after 0 s\n"
        'ready: rsd solve "your problem"\n'
        "draft  restarting http://127.0.0.1:8000  ended with code 1; restart 1 in 1 s\n"
        "draft  stopped    http://127.0.0.1:8000\n",
        "",
    )


def table(view: ServeView, width: int = 100) -> list[str]:
    """The lines of the table, as a terminal shows it."""
    out = io.StringIO()
    Console(file=out, width=width).print(view._table())
    return [re.sub(r"\d+ s\b", "N s", " ".join(line.split())) for line in out.getvalue().splitlines()]


def test_a_terminal_sees_a_table() -> None:
    """A row for each server: its state, address and GPU, and what it is doing or its model."""
    view = ServeView([DRAFT, REWARD], "ready")
    assert table(view) == [
        "draft waiting http://127.0.0.1:8000 GPU 0 org/draft",
        "reward waiting http://127.0.0.1:8002 CPU org/prm",
    ]
    view.state(DRAFT, "starting")
    view.log(DRAFT, "loading [1/4] " + 200 * "x")
    view.log(REWARD, "not started yet")
    starting, waiting = table(view)
    assert starting.startswith("draft starting N s http://127.0.0.1:8000 GPU 0 loading [1/4] xxx")
    assert starting.endswith("…")
    assert waiting == "reward waiting http://127.0.0.1:8002 CPU org/prm"
    view.state(DRAFT, "ready")
    assert table(view)[0] == "draft ready http://127.0.0.1:8000 GPU 0 org/draft"
    view.state(DRAFT, "restarting", "ended with code 1")
    assert table(view)[0] == "draft restarting N s http://127.0.0.1:8000 GPU 0 ended with code 1"


def test_the_table_is_live_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It stays where it is, the hint comes above it, and the cursor comes back."""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")
    view = ServeView([DRAFT], 'ready: rsd solve "your problem"')
    view.state(DRAFT, "ready")
    view.ready()
    view.close()
    view.close()
    shown = capsys.readouterr().out
    assert 'ready: rsd solve "your problem"' in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("http://127.0.0.1:8000")
