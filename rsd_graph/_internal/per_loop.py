"""What belongs to one event loop, such as connections and the events that tasks wait for."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from rsd_graph._internal.background import PerProcess

T = TypeVar("T")


class PerLoop(Generic[T]):
    """Something that is made on first use on each event loop, and in each process.

    Args:
        make: Makes it. Called on the loop.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: PerProcess[dict[asyncio.AbstractEventLoop, T]] = PerProcess(dict)

    def get(self) -> T:
        """The one of the running loop."""
        made, here = self._made.get(), asyncio.get_running_loop()
        if here not in made:
            for loop in list(made):  # the loops of other threads may be among them
                if loop.is_closed():
                    made.pop(loop, None)
            made[here] = self._make()
        return made[here]

    def drop(self) -> dict[asyncio.AbstractEventLoop, T]:
        """Forget all, so that the next use makes others. Returns those of this process."""
        return self._made.drop() or {}
