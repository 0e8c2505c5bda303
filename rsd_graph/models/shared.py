"""Answers that many callers need: each is asked for once, and the ones used last are kept."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Generic, TypeVar

from rsd_graph._internal.per_loop import PerLoop

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Shared(Generic[K, V]):
    """The answers by key. May be used on several event loops, in several threads.

    Args:
        kept: Number of answers; the one that was used longest ago makes room.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._known: OrderedDict[K, V] = OrderedDict()
        self._asking: PerLoop[dict[K, asyncio.Event]] = PerLoop(dict)

    async def get(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        """The answer for this key.

        Args:
            key: Stands for all that decides the answer.
            ask: Called if the answer is not kept. What it raises is not kept.
        """
        with suppress(KeyError):
            return self._recall(key)
        asking = self._asking.get()
        if key in asking:
            await asking[key].wait()
            with suppress(KeyError):
                return self._recall(key)
        if key in asking:  # whoever asked has failed, and others ask already: each has a deadline of its own
            return self._keep(key, await ask())
        asking[key] = asyncio.Event()
        try:
            return self._keep(key, await ask())
        finally:
            asking.pop(key).set()

    def _recall(self, key: K) -> V:
        """Raises KeyError if it is not kept. Another thread may drop it at any moment."""
        answer = self._known[key]
        self._known.move_to_end(key)
        return answer

    def _keep(self, key: K, answer: V) -> V:
        self._known[key] = answer
        if len(self._known) > self._kept:
            self._known.popitem(last=False)
        return answer
