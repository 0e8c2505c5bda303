import asyncio
import random
from collections.abc import Sequence

import pytest

from rsd_graph.models.group_lock import MOST_OVERTAKEN, GroupLock


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


def order_of(names: Sequence[str]) -> list[str]:
    """In which order these calls are admitted. The first letter says whose they are."""

    async def run() -> list[str]:
        turns, order = GroupLock(), []

        async def visit(name: str) -> None:
            async with turns.turn(name[0]):
                order.append(name)
                await asyncio.sleep(0.01)

        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(visit(name))
                await asyncio.sleep(0)
        return order

    return asyncio.run(asyncio.wait_for(run(), 5))


def test_later_requests_queue_after_a_waiting_owner() -> None:
    """A stream of draft requests cannot keep the target out."""
    assert order_of(["d1", "t1", "d2", "t2"]) == ["d1", "t1", "t2", "d2"]


def test_a_batch_that_most_are_in_goes_on() -> None:
    """Three draft steps are inside and the target has one to write: a fourth joins them, and the target comes next."""
    calls = ["d1", "d2", "d3", "t1", "d4", "t2", "t3", "t4", "d5"]
    assert order_of(calls) == ["d1", "d2", "d3", "d4", "t1", "t2", "t3", "t4", "d5"]


def test_nobody_is_overtaken_for_ever() -> None:
    """Many problems whose draft is always right, and one that needs the target."""

    async def run() -> int:
        turns, steps = GroupLock(), 0

        async def drafts() -> None:
            nonlocal steps
            while not done.is_set():
                async with turns.turn("draft"):
                    steps += 1
                    await asyncio.sleep(0)

        done = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(drafts())
            await asyncio.sleep(0)
            async with turns.turn("target"):
                done.set()
        return steps

    assert asyncio.run(asyncio.wait_for(run(), 5)) <= MOST_OVERTAKEN + 8


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


def test_owners_compute_together_where_there_is_room() -> None:
    """Two models of one thread each on two cores never wait; one that needs both cores waits for both to finish."""

    async def run() -> list[str]:
        turns, order = GroupLock(2), []

        async def visit(owner: str, needs: int) -> None:
            async with turns.turn(owner, needs):
                order.append(f"{owner} in")
                await asyncio.sleep(0.01)
            order.append(f"{owner} out")

        async with asyncio.TaskGroup() as group:
            for owner, needs in [("draft", 1), ("target", 1), ("judge", 2), ("draft", 1)]:
                group.create_task(visit(owner, needs))
                await asyncio.sleep(0)
        return order

    order = asyncio.run(asyncio.wait_for(run(), 5))
    assert order[:4] == ["draft in", "target in", "draft out", "target out"]
    assert order[4:] == ["judge in", "judge out", "draft in", "draft out"]


def test_an_owner_that_needs_more_than_there_is_gets_it_alone() -> None:
    """It would wait for ever otherwise."""

    async def run() -> None:
        async with GroupLock(2).turn("large", 5):
            pass

    asyncio.run(asyncio.wait_for(run(), 5))


def test_who_queued_after_a_cancelled_waiter_does_not_wait_for_the_others() -> None:
    """The one that did not fit is gone, and there is room for the next."""

    async def run() -> None:
        turns = GroupLock(2)
        async with turns.turn("draft"):
            large, small = (
                asyncio.create_task(turns.turn(owner, needs).__aenter__())
                for owner, needs in (("large", 2), ("target", 1))
            )
            await asyncio.sleep(0)
            large.cancel()
            await small

    asyncio.run(asyncio.wait_for(run(), 5))


def test_owners_inside_never_need_more_than_there_is() -> None:
    """Under random load with cancellations; everyone who is not cancelled is admitted in the end."""
    rng = random.Random(2)
    needs = {"draft": 1, "target": 1, "judge": 2, "prm": 3}
    inside: list[str] = []
    finished = 0

    async def visit(turns: GroupLock, owner: str) -> None:
        nonlocal finished
        async with turns.turn(owner, needs[owner]):
            inside.append(owner)
            assert sum(needs[each] for each in set(inside)) <= 3
            try:
                await asyncio.sleep(rng.random() / 500)
            finally:
                inside.remove(owner)
        finished += 1

    async def run() -> int:
        turns = GroupLock(3)
        visits = []
        for _ in range(300):
            visits.append(asyncio.create_task(visit(turns, rng.choice(list(needs)))))
            if rng.random() < 0.3:
                rng.choice(visits).cancel()
            await asyncio.sleep(rng.random() / 2000)
        await asyncio.gather(*visits, return_exceptions=True)
        return sum(each.cancelled() for each in visits)

    cancelled = asyncio.run(asyncio.wait_for(run(), 30))
    assert cancelled > 0
    assert finished == 300 - cancelled
