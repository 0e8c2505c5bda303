"""Token ids of texts that a server has already encoded: every later step of a response repeats the earlier ones."""

from array import array
from typing import Protocol

from rsd_graph.models.shared import Shared

REMEMBERED = 32768
"""Texts whose token ids are kept: the steps of a thousand solutions that are being written."""


class Encode(Protocol):
    """Asks a server for the token ids of a text."""

    async def __call__(self, text: str, *, special_tokens: bool = False) -> list[int]:
        """See `ScoringBackend.encode`."""
        ...


class TokenCache:
    """The most recently used texts and their token ids.

    Args:
        encode: Called for a text that is not cached.
    """

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._known: Shared[str, array[int]] = Shared(REMEMBERED)

    async def encode(self, text: str, *, special_tokens: bool = False) -> list[int]:
        """Token ids of the text. Raises as `encode` does."""
        if special_tokens:  # a whole prompt, which is not asked for twice
            return await self._encode(text, special_tokens=True)

        async def ask() -> "array[int]":
            return array("q", await self._encode(text))

        return (await self._known.get(text, ask)).tolist() if text else []
