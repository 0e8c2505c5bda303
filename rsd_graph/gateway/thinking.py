"""What a reasoning model thinks and what it says, as pieces of an answer."""

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from rsd_graph.agents.thoughts import Kind, ThoughtSplitter


class Piece(NamedTuple):
    """A piece of the response."""

    kind: Literal["content", "reasoning"]
    text: str


class Thoughts:
    """Splits a text that arrives in pieces. White space between a thought and what follows it is left out."""

    def __init__(self) -> None:
        self._splitter = ThoughtSplitter()
        self._kind: Kind = "text"
        self._begins = False

    def feed(self, text: str) -> Iterator[Piece]:
        """What may be shown now: all but an end that may be the beginning of a tag."""
        yield from self._pieces(self._splitter.feed(text))

    def end(self) -> Iterator[Piece]:
        """What was held back, once nothing follows it."""
        yield from self._pieces(self._splitter.end())

    def _pieces(self, said: Iterable[tuple[Kind, str]]) -> Iterator[Piece]:
        for kind, text in said:
            if kind != self._kind:
                self._kind, self._begins = kind, True
            shown = text.lstrip() if self._begins else text
            if shown:
                self._begins = False
                yield Piece("reasoning" if kind == "reasoning" else "content", shown)
