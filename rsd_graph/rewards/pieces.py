"""Prompts of a reward model that are composed of texts, each tokenized on its own."""

import asyncio
from collections.abc import Sequence
from typing import Protocol, TypeGuard

from rsd_graph.protocols import Reading, ScoringBackend


class ReadsText(Protocol):
    """A backend that can read a prompt as text, which saves it the requests that tokenize."""

    async def joined(self, pieces: Sequence[str]) -> str | None:
        """The pieces as one text that has the very tokens of the pieces; None if none is known."""
        ...

    async def head_after(self, text: str) -> Reading:
        """As `ScoringBackend.head`, at the last token of the text."""
        ...


def reads_text(backend: object) -> TypeGuard[ReadsText]:
    """Whether the backend can; `isinstance` of a protocol takes too long for each step."""
    return hasattr(backend, "joined")


async def head_after(backend: ScoringBackend, pieces: Sequence[str]) -> Reading:
    """The reward head's output at the last token of these texts. Raises as `ScoringBackend.head` does.

    Args:
        backend: Where the model runs.
        pieces: Of the prompt, in order.
    """
    if reads_text(backend):
        text = await backend.joined(pieces)
        if text is not None:
            return await backend.head_after(text)
    encoded = await asyncio.gather(*(backend.encode(piece) for piece in pieces))
    return await backend.head([token for tokens in encoded for token in tokens])
