import asyncio
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from rsd_graph import Generation, RSDSettings, TokenUsage, create_rsd_graph
from rsd_graph.errors import ConfigurationError, RewardError
from rsd_graph.latency import faster, gated
from rsd_graph.rewards.confidence import ConfidenceReward
from tests.graph.scripts import thread
from tests.latency.slow import SlowModel, SlowReward, said, steps

SURE, UNSURE = 0.0, 50.0
BOUND = 0.9


def alternating(last: int) -> SlowModel:
    """A draft that is sure of every other step, beginning with the first."""

    def say(response: str, settings: RSDSettings) -> Generation:
        index = response.count("\n\n")
        return steps("d", last, SURE if index % 2 == 0 else UNSURE)(response, settings)

    return SlowModel(say)


def graph_of(draft: SlowModel, reward: SlowReward, **options: Any) -> Any:
    return create_rsd_graph(draft, SlowModel(steps("t", 9)), gated(reward, BOUND), **options)


def test_a_step_of_which_the_draft_is_sure_is_not_scored() -> None:
    """It is kept, and says that it has no reward; the others are scored as ever."""
    reward = SlowReward([0.8, 0.2])
    out = graph_of(alternating(3), reward).invoke({"problem": "p"}, context={"max_steps": 4})
    assert reward.asked == ["d1", "d3"]
    assert [(step.text, step.author, step.reward) for step in out["steps"]] == [
        ("d0", "draft", None),
        ("d1", "draft", 0.8),
        ("d2", "draft", None),
        ("t3", "target", 0.2),
    ]
    assert out["usage"].reward == TokenUsage(prompt=14, completion=2)


def test_the_events_say_so() -> None:
    """`scored` has no reward, and is accepted: what was blank is not."""
    events = graph_of(alternating(1), SlowReward([0.8])).stream({"problem": "p"}, stream_mode="custom")
    told = [(event["reward"], event["accepted"]) for event in events if event["event"] == "scored"]
    assert told == [(None, True), (0.8, True)]


def test_another_draft_has_another_confidence() -> None:
    """A curve by which the draft is never sure enough lets nothing pass; `hedge` asks the same curve."""
    reward = SlowReward([1.0])
    never = ConfidenceReward(intercept=-5.0, slope=0.0)
    draft, target = SlowModel(steps("d", 3, SURE)), SlowModel(steps("t", 3))
    graph = create_rsd_graph(*faster(draft, target, reward, gate=BOUND, hedge=0.5, confidence=never))
    assert [step.reward for step in graph.invoke({"problem": "p"})["steps"]] == [1.0] * 4
    assert target.asked


def test_by_default_there_is_no_gate() -> None:
    """Every step is scored, however sure the draft is."""
    reward = SlowReward([1.0])
    graph = create_rsd_graph(*faster(SlowModel(steps("d", 3, SURE)), SlowModel(steps("t", 3)), reward))
    assert [step.reward for step in graph.invoke({"problem": "p"})["steps"]] == [1.0] * 4


def test_under_other_weightings_it_counts_as_the_highest_reward() -> None:
    """The draw is what it would be at a reward of 1.0."""
    context = {"weighting": "sigmoidal", "max_steps": 30}

    def authors(reward: Any) -> list[str]:
        graph = create_rsd_graph(SlowModel(steps("d", 99, SURE)), SlowModel(steps("t", 99)), reward)
        return [step.author for step in graph.invoke({"problem": "p"}, context=context)["steps"]]

    assert authors(gated(SlowReward([0.0]), BOUND)) == authors(SlowReward([1.0]))


def test_an_edit_gives_the_step_a_reward() -> None:
    """Whoever edits the reward after the gate has scored the step: the run decides by it, and reports it."""
    graph = graph_of(alternating(3), SlowReward([0.8]), checkpointer=InMemorySaver())
    graph.invoke({"problem": "p"}, thread())
    after = [state for state in graph.get_state_history(thread()) if state.next == ("check",)][-1]
    fork = graph.update_state(after.config, {"reward": 0.3}, as_node="score")
    out = graph.invoke(None, fork)
    assert [(step.author, step.reward) for step in out["steps"][:2]] == [("target", 0.3), ("draft", 0.8)]
    fork = graph.update_state(after.config, {"reward": 0.9}, as_node="score")
    assert graph.invoke(None, fork)["steps"][0].reward == 0.9


def test_a_checkpoint_remembers_the_gate() -> None:
    """A run that is resumed after `score`, even from JSON, still knows that nobody scored the step."""
    graph = graph_of(alternating(0), SlowReward([0.8]), checkpointer=InMemorySaver())
    graph.invoke({"problem": "p"}, thread())
    after = next(state for state in graph.get_state_history(thread()) if state.next == ("check",))
    out = graph.invoke(None, graph.update_state(after.config, {"gated": True}, as_node="score"))
    assert [step.reward for step in out["steps"]] == [None]


def test_a_draft_without_log_probabilities_is_refused() -> None:
    """The message says what is missing."""
    graph = create_rsd_graph(
        SlowModel(lambda *_: Generation("a", "eos")), SlowModel(steps("t", 0)), gated(SlowReward([1.0]), BOUND)
    )
    with pytest.raises(RewardError, match="needs the draft's token log-probabilities"):
        graph.invoke({"problem": "p"})


def test_a_wordless_step_does_not_pass() -> None:
    """The draft's confidence in nothing says nothing."""
    reward = SlowReward([0.0])
    draft = SlowModel(lambda *_: Generation("", "eos", logprobs=()))
    graph = create_rsd_graph(draft, SlowModel(steps("t", 0)), gated(reward, BOUND))
    assert [step.author for step in graph.invoke({"problem": "p"})["steps"]] == ["target"]


def test_outside_the_graph_every_candidate_is_scored() -> None:
    """Who evaluates a reward wants rewards."""
    reward = gated(SlowReward([0.4]), BOUND)
    (score,) = asyncio.run(reward.score([HumanMessage("p")], [], [said("a", surprisal=SURE)]))
    assert (score.reward, score.gated) == (0.4, False)


def test_confidence_may_be_judged_otherwise() -> None:
    """A curve fitted to another draft: here one that trusts nothing."""
    reward = SlowReward([0.8])
    timid = gated(reward, BOUND, confidence=ConfidenceReward(intercept=-5))
    create_rsd_graph(SlowModel(steps("d", 0, SURE)), SlowModel(steps("t", 0)), timid).invoke({"problem": "p"})
    assert reward.asked == ["d0"]


@pytest.mark.parametrize("bound", [-0.1, 1.1, float("nan")])
@pytest.mark.parametrize("wrapper", ["gate", "hedge"])
def test_a_bound_is_a_probability(wrapper: str, bound: float) -> None:
    """The message names the wrapper and the value."""
    model: Any = SlowModel(steps("d", 0))
    options: Any = {wrapper: bound}
    with pytest.raises(ConfigurationError, match=rf"{wrapper}: a bound .* in \[0, 1\], got {bound}"):
        faster(model, model, SlowReward([1.0]), **options)
