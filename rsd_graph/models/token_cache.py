"""Token ids of texts that a server has already encoded: every later step of a response repeats the earlier ones."""

from collections import OrderedDict
from typing import Protocol

REMEMBERED = 4096
"""Texts whose token ids are kept."""


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
        self._known: OrderedDict[str, list[int]] = OrderedDict()

    async def encode(self, text: str, *, special_tokens: bool = False) -> list[int]:
        """Token ids of the text. Raises as `encode` does."""
        if special_tokens:  # a whole prompt, which is not asked for twice
            return await self._encode(text, special_tokens=True)
        if text not in self._known:
            self._known[text] = await self._encode(text) if text else []
        self._known.move_to_end(text)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return self._known[text]
