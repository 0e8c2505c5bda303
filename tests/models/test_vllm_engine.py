import asyncio
from typing import cast

import pytest

from rsd_graph.errors import ConfigurationError
from rsd_graph.models.sleep import SleepCoordinator
from rsd_graph.models.vllm_engine import OfflineEngine


class Sleeper:
    """Stands for an engine: writes down when it sleeps and wakes."""

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
    engines = {name: cast("OfflineEngine", Sleeper(name, diary)) for name in names}

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


def test_without_vllm_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than an import error."""
    monkeypatch.setitem(__import__("sys").modules, "vllm.engine.arg_utils", None)
    with pytest.raises(ConfigurationError, match=r"rsd-graph\[vllm\]"):
        asyncio.run(OfflineEngine("x").start())
