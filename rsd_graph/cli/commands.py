"""The group of commands, and the three ways past their views on which text reaches a terminal.

A usage error repeats a part of the command line, a traceback ends with the message of an error, and libraries log. All
of them are made harmless here.
"""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from rsd_graph.cli.errors import FAILED
from rsd_graph.cli.terminal_text import harmless


class Commands(TyperGroup):
    """`rsd` and its commands."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Parse the options of `rsd` itself."""
        with _harmless_errors():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        """Parse the options of a command, and run it."""
        if logging.lastResort:  # prints what no handler takes
            logging.lastResort.setFormatter(_HarmlessFormatter())
        with _harmless_errors():
            return super().invoke(ctx)


class _HarmlessFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return harmless(super().format(record))


@contextmanager
def _harmless_errors() -> Iterator[None]:
    try:
        yield
    except (typer.Exit, typer.Abort, OSError, EOFError):
        raise  # Typer's, or for Typer
    except Exception as error:
        message = getattr(
            error, "message", None
        )  # only Typer's own errors have one; their classes vary with its version
        if isinstance(message, str):
            error.message = harmless(message)  # type: ignore[attr-defined]  # it is there
            raise
        typer.echo(harmless(traceback.format_exc()), err=True)
        raise typer.Exit(FAILED) from error
