"""Token ids of texts that a server was asked for already: a step comes again with each one behind it."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable

REMEMBERED = 4096
"""Texts whose token ids are kept."""


class TokenCache:
    """The latest texts and their token ids.

    Args:
        encode: Asks for those of a text that is not known.
    """

    def __init__(self, encode: Callable[[str], Awaitable[list[int]]]) -> None:
        self._encode = encode
        self._known: OrderedDict[str, list[int]] = OrderedDict()

    async def of(self, text: str) -> list[int]:
        """Token ids of the text. Raises as `encode` does."""
        if text not in self._known:
            self._known[text] = await self._encode(text) if text else []
        self._known.move_to_end(text)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return self._known[text]
