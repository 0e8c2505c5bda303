import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from rsd_graph._internal import background
from rsd_graph.config import Config
from rsd_graph.inspect import backends
from rsd_graph.inspect.backends import fresh_for_each, opened


class Fake:
    """What `assemble` gives."""

    draft = target = reward = faster = parameters = None

    async def start(self) -> None:
        """Nothing to load."""


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was opened and closed; the models that other tests have open stay so."""
    log: list[str] = []

    @asynccontextmanager
    async def assemble(*_: Any, slots: int, **__: Any) -> AsyncIterator[Fake]:
        log.append("opened" if slots == backends.SLOTS else f"opened with {slots} slots")
        yield Fake()
        log.append("closed")

    monkeypatch.setattr(backends, "assemble", assemble)
    monkeypatch.setattr(backends, "_open", background.PerProcess(backends._Open))
    monkeypatch.setattr(backends, "_given", [])
    return log


def test_models_are_opened_once_for_all(told: list[str]) -> None:
    """Whoever asks, from whatever loop."""
    first, second = asyncio.run(opened(Config(), "a")), asyncio.run(opened(Config(), "b"))
    assert first is second
    assert told == ["opened"]


def test_a_bench_opens_them_for_each_strategy(told: list[str]) -> None:
    """Once each: later strategies must not find the questions in the caches of the earlier ones."""
    with fresh_for_each():
        for owner in ("a", "a", "b", "b"):
            asyncio.run(opened(Config(), owner))
    assert told == ["opened", "closed", "opened"]


@pytest.mark.parametrize(("in_flight", "slots"), [(1, 1), (12, 12), (64, 16)])
def test_they_compute_all_problems_at_once_that_are_in_flight(told: list[str], in_flight: int, slots: int) -> None:
    """Up to a number: each slot takes memory."""
    with fresh_for_each(in_flight):
        asyncio.run(opened(Config()))
    assert told == [f"opened with {slots} slots"]
