"""Separates what a thinking model writes between `<think>` and `</think>` from what it says, piece by piece."""

import re
from collections.abc import Iterator
from typing import Literal

from rsd_graph.answers.thoughts import TAG

Kind = Literal["text", "reasoning"]

_BEGINNING = re.compile(r"(?:[<◁]/?\s*[a-z:]{0,12}\s*|\[/?[A-Z]{0,5})$", re.IGNORECASE)
"""What may become a tag."""


class ThoughtSplitter:
    """Tells thoughts from text while both arrive in pieces. Tags are in neither.

    Args:
        thinking: Whether the text begins within a thought: some chat templates end the prompt with `<think>`.
    """

    def __init__(self, *, thinking: bool = False) -> None:
        self._depth = int(thinking)
        self._held = ""

    def feed(self, piece: str) -> Iterator[tuple[Kind, str]]:
        """What is certain after this piece. What may be the beginning of a tag waits for the next one."""
        text = self._held + piece
        start = 0
        for tag in TAG.finditer(text):
            yield from self._said(text[start : tag.start()])
            self._depth = max(0, self._depth - 1) if tag["closing"] or tag["closed"] else self._depth + 1
            start = tag.end()
        rest = text[start:]
        held = _BEGINNING.search(rest)
        self._held = held[0] if held else ""
        yield from self._said(rest[: len(rest) - len(self._held)])

    def end(self) -> Iterator[tuple[Kind, str]]:
        """What was waiting for a next piece."""
        yield from self._said(self._held)
        self._held = ""

    def _said(self, text: str) -> Iterator[tuple[Kind, str]]:
        if text:
            yield ("reasoning" if self._depth else "text"), text
