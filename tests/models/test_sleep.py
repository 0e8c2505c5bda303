import asyncio

import pytest

from rsd_graph.models.sleep import SleepCoordinator


class Sleeper:
    """Stands for an engine: notes when it sleeps and wakes."""

    def __init__(self, name: str, diary: list[str]) -> None:
        self.name = name
        self.diary = diary

    async def sleep(self) -> None:
        self.diary.append(f"{self.name} sleeps")

    async def wake_up(self) -> None:
        await asyncio.sleep(0)
        self.diary.append(f"{self.name} wakes")


def test_one_engine_is_awake_at_a_time() -> None:
    """The one that works; its problems share the turn, and the others sleep before it wakes."""
    diary: list[str] = []
    names = ("draft", "reward", "target")
    engines = {name: Sleeper(name, diary) for name in names}

    async def run() -> None:
        coordinator = SleepCoordinator()

        async def work(name: str) -> None:
            async with coordinator.turn(engines[name]):
                diary.append(f"{name} works")
                await asyncio.sleep(0.001)

        await asyncio.gather(work("draft"), work("draft"))
        await asyncio.gather(work("reward"), work("reward"), work("target"))

    asyncio.run(run())
    assert diary == [
        "draft wakes",
        "draft works",
        "draft works",
        "draft sleeps",
        "reward wakes",
        "reward works",
        "reward works",
        "reward sleeps",
        "target wakes",
        "target works",
    ]


def test_the_same_engine_is_not_woken_again() -> None:
    """It stays awake until another one needs the GPU."""
    diary: list[str] = []
    engine = Sleeper("draft", diary)

    async def run() -> None:
        coordinator = SleepCoordinator()
        for _ in range(3):
            async with coordinator.turn(engine):
                diary.append("works")

    asyncio.run(run())
    assert diary == ["draft wakes", "works", "works", "works"]


def test_a_cancelled_caller_leaves_no_engine_half_awake() -> None:
    """Waking up is finished and noted, so that the next engine puts this one to sleep."""
    diary: list[str] = []
    draft, target = Sleeper("draft", diary), Sleeper("target", diary)

    async def visit(coordinator: SleepCoordinator, engine: Sleeper) -> None:
        async with coordinator.turn(engine):
            diary.append(f"{engine.name} works")

    async def run() -> None:
        coordinator = SleepCoordinator()
        visitor = asyncio.create_task(visit(coordinator, draft))
        await asyncio.sleep(0)  # it is about to wake the engine
        visitor.cancel()
        with pytest.raises(asyncio.CancelledError):
            await visitor
        await visit(coordinator, target)

    asyncio.run(run())
    assert diary == ["draft wakes", "draft sleeps", "target wakes", "target works"]


def test_an_engine_that_does_not_wake_is_not_taken_for_awake() -> None:
    """The next turn wakes it again."""
    diary: list[str] = []

    class Broken(Sleeper):
        async def wake_up(self) -> None:
            if not diary:
                diary.append("fails")
                raise RuntimeError("out of memory")
            await super().wake_up()

    async def run() -> None:
        coordinator, engine = SleepCoordinator(), Broken("draft", diary)
        with pytest.raises(RuntimeError):
            async with coordinator.turn(engine):
                diary.append("never here")
        async with coordinator.turn(engine):
            diary.append("works")

    asyncio.run(run())
    assert diary == ["fails", "draft wakes", "works"]
