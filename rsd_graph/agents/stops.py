"""Ends a text at the first stop sequence, while it arrives in pieces."""

from collections.abc import Sequence


class StopWatch:
    """Looks for stop sequences.

    Args:
        stops: The sequences; the text ends before the first of them.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.stopped = False
        """Whether one has been found."""

    def feed(self, piece: str) -> str:
        """What is certain after this piece. What may be the beginning of a stop sequence waits for the next one."""
        if self.stopped:
            return ""
        text = self._held + piece
        found = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        sizes = range(min(len(text), max(map(len, self._stops), default=0)), 0, -1)
        held = next((size for size in sizes if any(stop.startswith(text[-size:]) for stop in self._stops)), 0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def end(self) -> str:
        """What was waiting for a next piece."""
        rest, self._held = self._held, ""
        return rest
