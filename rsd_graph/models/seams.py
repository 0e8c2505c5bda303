"""Whether texts can be joined: does a tokenizer make the same tokens of them together as of each alone?

A prompt that is sent as text costs no request that tokenizes it. It must be the same prompt, token for token, as its
parts' own ids one after another. Where two parts meet, a tokenizer may join characters of both: most templates end in a
line break, and a response that starts with one would make a single token with it; a step's full stop and the blank line
after it often are one token. A tokenizer looks at a few characters around a place, so each seam is checked once, on the
text around it, by the tokenizer itself.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from rsd_graph.models.shared import Shared

WINDOW = 32
"""Characters on each side of a seam that are compared. Tokenizers split text at words, numbers and white space before
they join characters, so what is further away does not change the tokens at the seam."""
KEPT = 8192
"""Seams that are remembered."""
TRIES = 24
"""Checks that may fail before a model's seams are taken to be unclean as a rule."""
HITS_A_TRY = 4
"""A clean seam that was known already pays for a further check when there are so many of them."""

Encode = Callable[[str], Awaitable[list[int]]]


class Seams:
    """What is known of one tokenizer's seams.

    Args:
        encode: Token ids of a text, special tokens in it as such and none added.
    """

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._checked: Shared[tuple[str, ...], bool] = Shared(KEPT)
        self._failed = 0
        self._hits = 0

    async def are_clean(self, parts: Sequence[str]) -> bool:
        """Whether the joined text has the tokens of its parts. Not, if it is not known and no longer worth asking.

        Raises as `encode` does.
        """
        windows = list(dict.fromkeys(_windows([part for part in parts if part])))
        for window in windows:
            if self._failed > TRIES + self._hits // HITS_A_TRY:
                return False
            if not await self._checked.get(window, partial(self._check, window)):
                return False
        self._hits += len(windows)
        return True

    async def _check(self, window: tuple[str, ...]) -> bool:
        apart = [token for part in window for token in await self._encode(part)]
        clean = await self._encode("".join(window)) == apart
        self._failed += not clean
        return clean


def _windows(parts: Sequence[str]) -> list[tuple[str, ...]]:
    """The text around each seam, in its parts. A short part between two seams stands in one window with both."""
    windows: list[tuple[str, ...]] = []
    start = 0
    while start < len(parts) - 1:
        end = start + 1
        while end < len(parts) - 1 and len(parts[end]) < WINDOW:
            end += 1
        windows.append((parts[start][-WINDOW:], *parts[start + 1 : end], parts[end][:WINDOW]))
        start = end
    return windows
