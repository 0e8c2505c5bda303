"""The group of commands; a usage error repeats a part of the command line, which is made harmless."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from typer.core import TyperGroup

from rsd_graph.cli.terminal_text import harmless


class Commands(TyperGroup):
    """`rsd` and its commands."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Parse the options of `rsd` itself."""
        with _harmless_messages():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        """Parse the options of a command, and run it."""
        with _harmless_messages():
            return super().invoke(ctx)


@contextmanager
def _harmless_messages() -> Iterator[None]:
    """Typer's own errors carry a `message`, which Typer prints; their classes differ between its versions."""
    try:
        yield
    except Exception as error:
        message = getattr(error, "message", None)
        if isinstance(message, str):
            error.message = harmless(message)  # type: ignore[attr-defined]  # it is there
        raise
