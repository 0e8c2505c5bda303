"""The one shape of a progress report."""

from collections.abc import Callable

Progress = Callable[[str, float, float], None]
"""Called with what is being done, how much of it is done, and how much there is in all (bytes, problems, epochs)."""


def silent(what: str, done: float, total: float) -> None:
    """Report to nobody."""
