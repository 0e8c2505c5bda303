"""Separates what a reasoning model thinks, between `<think>` and `</think>`, from what it says."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from rsd_graph.gateway.stopping import overlap

TAGS = ("<think>", "</think>")


class Piece(NamedTuple):
    """A piece of the response."""

    kind: Literal["content", "reasoning"]
    text: str


class Thoughts:
    """Splits a text that arrives in pieces. White space that follows a tag is left out."""

    def __init__(self) -> None:
        self._held = ""
        self._thinking = False
        self._after_tag = False

    def feed(self, text: str) -> Iterator[Piece]:
        """What may be shown now: all but an end that may be the beginning of a tag."""
        self._held += text
        while (start := self._held.find(tag := TAGS[self._thinking])) >= 0:
            yield from self._piece(self._held[:start])
            self._held = self._held[start + len(tag) :]
            self._thinking, self._after_tag = not self._thinking, True
        cut = len(self._held) - overlap(self._held, tag)
        shown, self._held = self._held[:cut], self._held[cut:]
        yield from self._piece(shown)

    def end(self) -> Iterator[Piece]:
        """What was held back, once nothing follows it."""
        yield from self._piece(self._held)
        self._held = ""

    def _piece(self, text: str) -> Iterator[Piece]:
        if self._after_tag:
            text = text.lstrip()
        if text:
            self._after_tag = False
            yield Piece("reasoning" if self._thinking else "content", text)
