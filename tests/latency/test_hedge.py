import asyncio
from typing import Any

from rsd_graph import Generation, RSDSettings, TokenUsage, create_rsd_graph
from rsd_graph.latency import faster, hedged
from tests.latency.slow import SlowModel, SlowReward, steps

SURE, UNSURE = 0.0, 50.0


def graph_of(draft: SlowModel, target: SlowModel, reward: SlowReward) -> Any:
    early, scored = hedged(target, reward, 0.5)
    return create_rsd_graph(draft, early, scored)


def run(graph: Any, **context: Any) -> Any:
    return asyncio.run(graph.ainvoke({"problem": "p"}, context=context))


def test_the_target_starts_on_a_doubtful_step_at_once() -> None:
    """If the step is rejected, its answer is taken: the target is asked once, with the seed of the plain run."""
    target, plain = SlowModel(steps("t", 0)), SlowModel(steps("t", 0))
    reward = SlowReward([0.0], turns=20)
    asked_before: list[int] = []
    reward.before = lambda: asked_before.append(len(target.asked))
    out = run(graph_of(SlowModel(steps("d", 9, UNSURE)), target, reward))
    assert (out["response"], asked_before) == ("t0", [1])
    run(create_rsd_graph(SlowModel(steps("d", 9, UNSURE)), plain, SlowReward([0.0])))
    assert target.asked == plain.asked
    assert out["usage"].target == TokenUsage(prompt=20, cached=10, completion=4)
    assert out["usage"].discarded == 4  # the draft's step


def test_the_target_waits_where_the_draft_is_sure() -> None:
    """As in the plain run, it is asked after a rejection only."""
    target = SlowModel(steps("t", 0))
    reward = SlowReward([0.0], turns=20)
    asked_before: list[int] = []
    reward.before = lambda: asked_before.append(len(target.asked))
    out = run(graph_of(SlowModel(steps("d", 9, SURE)), target, reward))
    assert (out["response"], asked_before) == ("t0", [0])


def test_an_accepted_step_ends_the_targets_call() -> None:
    """What it wrote is counted: nothing yet is known of the target's pace, so only what it read."""
    target = SlowModel(steps("t", 0))

    async def solve() -> Any:
        target.open = asyncio.Event()
        return await graph_of(SlowModel(steps("d", 0, UNSURE)), target, SlowReward([1.0], turns=9)).ainvoke(
            {"problem": "p"}
        )

    out = asyncio.run(solve())
    assert out["response"] == "d0"
    assert (target.given_up, target.running) == ([""], 0)
    assert out["usage"].target == TokenUsage(prompt=20)


def test_a_finished_step_of_the_target_is_counted_as_discarded() -> None:
    """It was written in vain."""
    target = SlowModel(steps("t", 0), turns=0)
    out = run(graph_of(SlowModel(steps("d", 0, UNSURE)), target, SlowReward([1.0], turns=9)))
    assert out["usage"].target == TokenUsage(prompt=20, cached=10, completion=4)
    assert out["usage"].discarded == 4


def test_a_blank_step_needs_no_hedge() -> None:
    """It is rejected without a reward, and the target is asked as ever."""

    def say(_: str, __: RSDSettings) -> Generation:
        return Generation(" ", "delimiter", logprobs=(-UNSURE,))

    target = SlowModel(steps("t", 0))
    assert run(graph_of(SlowModel(say), target, SlowReward([1.0])))["response"] == "t0"
    assert len(target.asked) == 1


def test_a_gate_comes_first() -> None:
    """Where both bounds claim a step it is accepted, and the target's call never begins."""
    target = SlowModel(steps("t", 0))
    models = faster(SlowModel(steps("d", 2, SURE)), target, SlowReward([0.0]), gate=0.5, hedge=1.0)
    out = run(create_rsd_graph(*models))
    assert out["response"] == "d0\n\nd1\n\nd2"
    assert target.asked == []
    assert out["usage"].target == TokenUsage()
