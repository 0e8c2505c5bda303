"""Answers that many callers need: each is asked for once, and the ones used last are kept."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from rsd_graph._internal.background import PerProcess

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Shared(Generic[K, V]):
    """The answers by key. Used on the background loop.

    Args:
        kept: Number of answers; the one that was used longest ago makes room.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._known: OrderedDict[K, V] = OrderedDict()
        self._asking: PerProcess[dict[K, asyncio.Event]] = PerProcess(dict)

    async def get(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        """The answer for this key.

        Args:
            key: Stands for all that decides the answer.
            ask: Called if the answer is not kept. What it raises is not kept.
        """
        asking = self._asking.get()
        if key not in self._known and key in asking:
            await asking[key].wait()
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        if key in asking:  # whoever asked has failed, and others ask already: each has a deadline of its own
            return self._keep(key, await ask())
        asking[key] = asyncio.Event()
        try:
            return self._keep(key, await ask())
        finally:
            asking.pop(key).set()

    def _keep(self, key: K, answer: V) -> V:
        self._known[key] = answer
        self._known.move_to_end(key)
        if len(self._known) > self._kept:
            self._known.popitem(last=False)
        return answer
