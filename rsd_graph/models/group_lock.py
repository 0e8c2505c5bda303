"""Lets models share what is too small for all of them, such as the cores.

Any number of requests of one model are served together, and as many models at once as there is room for.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

MOST_OVERTAKEN = 32
"""How often those that wait may be overtaken before nobody joins any more."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A caller that waits."""

    owner: object
    needs: int
    admitted: asyncio.Future[None]


class GroupLock:
    """Admits callers in groups of one owner.

    Two llama.cpp servers with a thread on every core compete for the cores at their spin barriers: both fall below one
    token per second. Requests to the same server share a batch, which is faster than one after another. So all waiting
    requests of one model are admitted together, next to those of other models as long as there are cores for each
    model's threads. Once a request of a model waits for which there is no room, later requests queue after it, save
    that one joins its own model while more of that model's requests are inside than others wait. A step of a draft is
    often followed by the next one: if that had to wait, the batch would shrink to its slowest member.

    Belongs to one event loop.

    Args:
        room: What the owners share, such as the number of cores. An owner that needs more is admitted alone.
    """

    def __init__(self, room: int = 1) -> None:
        self._room = room
        self._inside: Counter[object] = Counter()
        self._needs: dict[object, int] = {}
        self._queue: deque[_Place] = deque()
        self._overtaken = 0
        """How often, since somebody of the queue was admitted last."""

    @asynccontextmanager
    async def turn(self, owner: object, needs: int = 1) -> AsyncIterator[None]:
        """Hold a place among the owner's callers. Waits until there is room for this owner.

        Args:
            owner: Whose call it is; hashable.
            needs: How much of the room the owner takes, however many callers it has; the same with each call.
        """
        if self._joins(owner):
            self._overtaken += 1
            self._enter(owner, needs)
        elif self._queue or not self._fits(owner, needs):
            await self._wait(owner, needs)
        else:
            self._enter(owner, needs)
        try:
            yield
        finally:
            self._leave(owner)

    def _fits(self, owner: object, needs: int) -> bool:
        return owner in self._inside or not self._inside or sum(self._needs.values()) + needs <= self._room

    def _joins(self, owner: object) -> bool:
        """Whether a call enters past those that wait."""
        waiting = sum(place.owner != owner for place in self._queue if not place.admitted.cancelled())
        return 0 < waiting < self._inside[owner] and self._overtaken < MOST_OVERTAKEN

    def _enter(self, owner: object, needs: int) -> None:
        self._inside[owner] += 1
        self._needs[owner] = needs

    def _leave(self, owner: object) -> None:
        self._inside[owner] -= 1
        if not self._inside[owner]:
            del self._inside[owner], self._needs[owner]
        self._admit()

    async def _wait(self, owner: object, needs: int) -> None:
        place = _Place(owner, needs, asyncio.get_running_loop().create_future())
        self._queue.append(place)
        try:
            await place.admitted
        except asyncio.CancelledError:
            if place.admitted.cancelled():
                self._admit()  # those that queued after it may fit
            else:  # admitted at the same moment: give the place back
                self._leave(owner)
            raise

    def _admit(self) -> None:
        """Admit the queue up to the first that does not fit, and with each owner that enters now all that it has."""
        entered: set[object] = set()
        waiting = [place for place in self._queue if not place.admitted.cancelled()]
        self._queue.clear()
        for place in waiting:
            if place.owner in entered or (not self._queue and self._fits(place.owner, place.needs)):
                entered.add(place.owner)
                self._overtaken = 0
                self._enter(place.owner, place.needs)
                place.admitted.set_result(None)
            else:
                self._queue.append(place)
