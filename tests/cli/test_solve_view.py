import io

from rich.console import Console

from rsd_graph.cli.solve_view import TerminalView


def test_a_terminal_sees_bars_colours_and_dimmed_drafts() -> None:
    """A rejected draft is dim, a kept one is not, and LaTeX in brackets is no markup."""
    view = TerminalView()
    out = io.StringIO()
    view._out = Console(file=out, force_terminal=True, color_system="standard", width=60)
    view._waiting = None
    view.event({"event": "proposed", "step": 0, "text": r"\[x=5\]", "finish": "delimiter", "tokens": 4})
    view.event({"event": "scored", "step": 0, "reward": 0.25, "accepted": False})
    view.event({"event": "kept", "step": 0, "text": "x is [bold]6", "author": "target", "reward": 0.25})
    shown = out.getvalue()
    assert "██░░░░░░ 0.25" in shown
    assert "\x1b[2m\\[x=5\\]" in shown
    assert "x is [bold]6" in shown
    assert "\x1b[35mtarget" in shown
