import asyncio
import random

import pytest

from rsd_graph.models.group_lock import GroupLock


def test_one_owner_enters_together() -> None:
    """Two requests of one model are inside at once: they share a batch."""

    async def run() -> None:
        turns = GroupLock()
        async with turns.turn("draft"), turns.turn("draft"):
            pass

    asyncio.run(asyncio.wait_for(run(), 5))


def test_owners_never_mix_and_all_get_their_turn() -> None:
    """Under random load with cancellations, no two owners are inside together, and everyone is admitted in the end."""
    rng = random.Random(1)
    inside: list[str] = []
    finished = 0

    async def visit(turns: GroupLock, owner: str) -> None:
        nonlocal finished
        async with turns.turn(owner):
            inside.append(owner)
            assert set(inside) == {owner}
            try:
                await asyncio.sleep(rng.random() / 500)
            finally:
                inside.remove(owner)
        finished += 1

    async def run() -> int:
        turns = GroupLock()
        visits = []
        for _ in range(300):
            visits.append(asyncio.create_task(visit(turns, rng.choice(["draft", "target", "judge"]))))
            if rng.random() < 0.3:
                rng.choice(visits).cancel()
            await asyncio.sleep(rng.random() / 2000)
        await asyncio.gather(*visits, return_exceptions=True)
        return sum(each.cancelled() for each in visits)

    cancelled = asyncio.run(asyncio.wait_for(run(), 30))
    assert cancelled > 0
    assert finished == 300 - cancelled


def test_later_requests_queue_after_a_waiting_owner() -> None:
    """A stream of draft requests cannot keep the target out."""

    async def run() -> list[str]:
        turns, order = GroupLock(), []

        async def visit(owner: str, name: str) -> None:
            async with turns.turn(owner):
                order.append(name)
                await asyncio.sleep(0.01)

        async with asyncio.TaskGroup() as group:
            for owner, name in [("draft", "d1"), ("target", "t1"), ("draft", "d2"), ("target", "t2")]:
                group.create_task(visit(owner, name))
                await asyncio.sleep(0)
        return order

    assert asyncio.run(run()) == ["d1", "t1", "t2", "d2"]


def test_a_cancelled_waiter_leaves_no_gap() -> None:
    """The next one in the queue is still admitted."""

    async def run() -> None:
        turns = GroupLock()
        async with turns.turn("draft"):
            waiting, following = (asyncio.create_task(turns.turn(owner).__aenter__()) for owner in ("target", "judge"))
            await asyncio.sleep(0)
            waiting.cancel()  # the holder leaves before the cancelled task has run
        await following
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(asyncio.wait_for(run(), 5))
