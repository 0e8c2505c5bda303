"""`rsd sandbox check`."""

from enum import StrEnum
from typing import Annotated

import typer

from rsd_graph.cli.errors import FAILED, ErrorLine, exit_codes
from rsd_graph.cli.terminal_text import say


class Action(StrEnum):
    """What `rsd sandbox` does."""

    CHECK = "check"


def sandbox(
    action: Annotated[Action, typer.Argument(help="What to do: check tries every wall on this machine.")],
) -> None:
    """Report what protects this machine from code that a model wrote.

    Each way to run code is tried: an interpreter inside attempts to reach the network, files, other processes and their
    environment. The first way whose walls all hold is the one that runs use.

    Exit code: 0 if code can be run safely, 1 if nothing protects here, 2 for an unknown option.
    """
    del action  # there is one
    with exit_codes(ErrorLine(), extras="sandbox"):
        from rsd_graph.sandbox.report import kernel_facts, reports

        for name, fact in kernel_facts().items():
            say(f"{name}: {fact}")
        used = ""
        for report in reports():
            say("")
            say(f"{report.name}: {'protects' if report.protects else f'cannot be used: {report.reason}'}")
            for wall in report.walls:
                say(f"  {wall.name:14} {'holds' if wall.holds else 'OPEN '}  {wall.said}")
            if report.protects:
                used = used or report.name
                say(f"  {report.start_ms:.0f} ms to start, {report.call_ms:.1f} ms a call in a session")
        say("")
        say(f"used: {used}" if used else "used: nothing; code is refused")
        if not used:
            raise typer.Exit(FAILED)
