"""Exit codes, and how a command reports an error: in one line, without a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol

import typer
from rich.console import Console

from rsd_graph.cli.terminal_text import plain
from rsd_graph.errors import ConfigurationError, RSDError

FAILED, STOPPED_EARLY, INTERRUPTED = 1, 3, 130

Again = Literal["resume", "start over"]
"""What a command does when it is run again after an error."""


class ErrorView(Protocol):
    """Shows why a command ended."""

    def error(self, error: RSDError) -> None:
        """It failed."""

    def interrupted(self) -> None:
        """The user pressed Ctrl-C."""


class ErrorLine:
    """One red line on standard error.

    Args:
        again: What the command does when it is run again.
    """

    def __init__(self, again: Again = "start over") -> None:
        self._again = again

    def error(self, error: RSDError) -> None:
        """It failed."""
        print_error(str(error))

    def interrupted(self) -> None:
        """The user pressed Ctrl-C."""
        print_error(f"stopped; rerun the command to {self._again}")


@contextmanager
def exit_codes(view: ErrorView, *, extras: str = "local", again: Again = "start over") -> Iterator[None]:
    """Turn errors into a line and an exit code.

    Args:
        view: Shows the error.
        extras: What to install if a package is missing.
        again: What the command does when it is run again.
    """
    try:
        yield
    except RSDError as error:
        failure = error
    except BrokenPipeError:  # the reader has closed the pipe (`| head`): Typer exits without a message
        raise
    except OSError as error:
        failure = RSDError(f"{error}; fix this, then rerun the command to {again}")
    except ImportError as error:
        failure = ConfigurationError(f"a package is missing ({error}): run `pip install 'rsd-graph[{extras}]'`")
    except KeyboardInterrupt:
        view.interrupted()
        raise typer.Exit(INTERRUPTED) from None
    else:
        return
    view.error(failure)
    raise typer.Exit(FAILED)


def print_error(message: str) -> None:
    """Print `rsd: message` on standard error, red on a terminal."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(plain(f"rsd: {message}", "red"))
