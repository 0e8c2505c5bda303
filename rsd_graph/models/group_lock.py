"""Lets embedded models take turns: any number of requests of one model together, never two models at once."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class GroupLock:
    """Admits callers in groups of one owner.

    Two llama.cpp servers with a thread on every core compete for the cores at their spin barriers: both fall below one
    token per second. Requests to the same server share a batch, which is faster than one after another. So all waiting
    requests of one model are admitted together; once a request of another model waits, later requests queue after it.

    Belongs to one event loop.
    """

    def __init__(self) -> None:
        self._owner: object = None
        self._inside = 0
        self._queue: deque[tuple[object, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def turn(self, owner: object) -> AsyncIterator[None]:
        """Hold a place among the owner's callers. Waits until no other owner is inside."""
        if self._inside and (self._owner is not owner or self._queue):
            await self._wait(owner)
        else:
            self._owner = owner
            self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            self._admit()

    async def _wait(self, owner: object) -> None:
        admitted = asyncio.get_running_loop().create_future()
        self._queue.append((owner, admitted))
        try:
            await admitted
        except asyncio.CancelledError:
            if not admitted.cancelled():  # admitted at the same moment: give the place back
                self._inside -= 1
                self._admit()
            raise

    def _admit(self) -> None:
        if self._inside:
            return
        waiting = [place for place in self._queue if not place[1].cancelled()]
        self._queue.clear()
        self._owner = waiting[0][0] if waiting else None
        for owner, admitted in waiting:
            if owner is self._owner:
                self._inside += 1
                admitted.set_result(None)
            else:
                self._queue.append((owner, admitted))
