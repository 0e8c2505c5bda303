"""Engines that take turns on a GPU: while one works, the weights of the others are in main memory.

https://docs.vllm.ai/en/latest/features/sleep_mode/
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from rsd_graph.models.group_lock import GroupLock


class Sleeper(Protocol):
    """An engine that can leave the GPU and come back."""

    async def sleep(self) -> None:
        """Move the weights to main memory and drop the cache."""
        ...

    async def wake_up(self) -> None:
        """Load the model, or bring its weights back."""
        ...


class SleepCoordinator:
    """Keeps at most one engine awake. Belongs to one event loop, the background loop."""

    def __init__(self) -> None:
        self._lock = GroupLock()
        self._switching = asyncio.Lock()
        self._awake: Sleeper | None = None

    @asynccontextmanager
    async def turn(self, engine: Sleeper) -> AsyncIterator[None]:
        """Keep the engine awake, and the others asleep, until the block ends."""
        async with self._lock.turn(engine):
            # shielded: a cancelled caller would otherwise leave a half-woken engine on the GPU, unseen
            await asyncio.shield(asyncio.ensure_future(self._wake(engine)))
            yield

    async def _wake(self, engine: Sleeper) -> None:
        async with self._switching:
            if self._awake is not engine:
                if self._awake is not None:
                    await self._awake.sleep()
                self._awake = None
                await engine.wake_up()
                self._awake = engine
