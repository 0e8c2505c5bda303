import asyncio
from typing import Any

from rsd_graph import RSDSettings, TokenUsage, create_rsd_graph
from rsd_graph.errors import ModelUnreachableError
from rsd_graph.latency import warmed
from tests.latency.slow import SlowModel, SlowReward, steps


class Reader(SlowModel):
    """A target whose calls for one token are readings."""

    def readings(self) -> list[int]:
        return [response.count("\n\n") for response, settings in self.asked if settings.max_step_tokens == 1]

    def calls(self) -> list[int]:
        return [response.count("\n\n") for response, settings in self.asked if settings.max_step_tokens > 1]


def graph_of(draft: SlowModel, target: SlowModel, reward: SlowReward) -> Any:
    warm, scored = warmed(target, reward)
    return create_rsd_graph(draft, warm, scored)


def run(graph: Any, **context: Any) -> Any:
    return asyncio.run(graph.ainvoke({"problem": "p"}, context=context))


def test_the_target_reads_accepted_steps() -> None:
    """After each acceptance, up to the last step; what it says is dropped, and counted."""
    target = Reader(steps("t", 99), turns=0)
    out = run(graph_of(SlowModel(steps("d", 3), turns=9), target, SlowReward([1.0])))
    assert out["response"] == "d0\n\nd1\n\nd2\n\nd3"
    assert (target.readings(), target.calls()) == ([1, 2, 3], [])
    assert out["usage"].target == TokenUsage(prompt=60, cached=30, completion=12)
    assert out["usage"].discarded == 12


def test_a_rejected_step_is_not_read() -> None:
    """The target gets the steps before it, as ever."""
    target = Reader(steps("t", 1), turns=0)
    out = run(graph_of(SlowModel(steps("d", 9), turns=9), target, SlowReward([1.0, 0.0])))
    assert out["response"] == "d0\n\nt1"
    assert (target.readings(), target.calls()) == ([1], [1])


def test_the_target_waits_for_what_is_being_read() -> None:
    """It would have to read it itself; then it is in the cache."""
    running: list[int] = []

    class Watched(Reader):
        async def generate(self, messages: Any, response: str, *, settings: RSDSettings, n: int = 1) -> Any:
            running.append(self.running)
            return await super().generate(messages, response, settings=settings, n=n)

    target = Watched(steps("t", 1), turns=300)
    out = run(graph_of(SlowModel(steps("d", 9), turns=1), target, SlowReward([1.0, 0.0], turns=1)))
    assert out["response"] == "d0\n\nt1"
    assert running == [0, 0]
    assert target.given_up == []


def test_one_reading_at_a_time() -> None:
    """A slow target is not flooded: the next reading takes in all that was accepted meanwhile."""
    target = Reader(steps("t", 99), turns=100_000)
    out = run(graph_of(SlowModel(steps("d", 6), turns=1), target, SlowReward([1.0], turns=1)))
    assert out["response"].endswith("d6")
    assert target.readings() == [1]
    assert (target.given_up, target.running) == (["d0\n\n"], 0)
    assert out["usage"].target.prompt == 24  # what the unfinished reading had to read


def test_a_reading_that_fails_harms_nobody() -> None:
    """The target meets the error itself, if it is still there when it is called."""
    failures = [ModelUnreachableError("gone")]

    class Failing(Reader):
        async def generate(self, messages: Any, response: str, *, settings: RSDSettings, n: int = 1) -> Any:
            if failures:
                raise failures.pop()
            return await super().generate(messages, response, settings=settings, n=n)

    target = Failing(steps("t", 1))
    out = run(graph_of(SlowModel(steps("d", 9)), target, SlowReward([1.0, 0.0])))
    assert out["response"] == "d0\n\nt1"
