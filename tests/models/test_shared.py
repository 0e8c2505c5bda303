import asyncio

import pytest

from rsd_graph.errors import ModelUnreachableError
from rsd_graph.models.shared import Shared


def test_many_callers_ask_once() -> None:
    """A thousand runs that begin together render the same chat once."""
    asked = 0

    async def ask() -> int:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)
        return 7

    async def run() -> list[int]:
        shared: Shared[str, int] = Shared(2)
        return await asyncio.gather(*(shared.get("a", ask) for _ in range(9)))

    assert asyncio.run(run()) == [7] * 9
    assert asked == 1


def test_the_answer_that_was_used_longest_ago_makes_room() -> None:
    """There are never more than so many."""
    asked: list[str] = []

    async def run() -> None:
        shared: Shared[str, str] = Shared(2)
        for key in ("a", "b", "a", "c", "a", "b"):

            async def ask(key: str = key) -> str:
                asked.append(key)
                return key

            assert await shared.get(key, ask) == key

    asyncio.run(run())
    assert asked == ["a", "b", "c", "b"]


def test_a_failure_is_not_kept_and_holds_up_nobody() -> None:
    """Those who waited ask for themselves, all at the same time; a cancelled caller takes nobody along."""
    calls = 0

    async def ask() -> int:
        nonlocal calls
        calls += 1
        first = calls == 1
        await asyncio.sleep(0.01)
        if first:
            raise ModelUnreachableError("gone")
        return 7

    async def run() -> None:
        shared: Shared[str, int] = Shared(2)
        first, *others = (asyncio.create_task(shared.get("a", ask)) for _ in range(4))
        with pytest.raises(ModelUnreachableError):
            await first
        assert await asyncio.gather(*others) == [7] * 3
        slow = asyncio.create_task(shared.get("b", lambda: asyncio.sleep(60, 1)))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(shared.get("b", ask))
        await asyncio.sleep(0)
        slow.cancel()
        assert await waiting == 7

    asyncio.run(run())
    assert calls == 5
