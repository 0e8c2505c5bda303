from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.checkpoint.memory import InMemorySaver

from rsd_graph import Generation, RSDSettings, create_rsd_graph
from rsd_graph.decision import suffices
from rsd_graph.latency import faster
from rsd_graph.latency.acceptance import steps_with
from rsd_graph.protocols import highest_reward, hopeless
from rsd_graph.rewards.confidence import ConfidenceReward, surprisal
from rsd_graph.run_scope import Moment, RunScope
from rsd_graph.settings import Weighting
from rsd_graph.state import Step
from rsd_graph.testing import ScriptedModel, ScriptedReward
from tests.graph.scripts import step, thread

LOGPROBS = st.lists(st.floats(-20, 0), min_size=1, max_size=30)


class Reluctant:
    """Writes tokens of these log-probabilities until it is told that the step is lost."""

    name = "reluctant"

    def __init__(self, logprobs: list[float]) -> None:
        self.logprobs = logprobs
        self.asked = 0

    async def generate(self, *_: object, **__: object) -> list[Generation]:
        is_lost = hopeless.get()
        for count in range(1, len(self.logprobs)):
            self.asked += 1
            if is_lost is not None and is_lost(self.logprobs[:count]):
                return [Generation("to", "length", logprobs=tuple(self.logprobs[:count]), given_up=True)]
        return [Generation("to the end", "eos", logprobs=tuple(self.logprobs))]


@given(
    logprobs=LOGPROBS,
    weighting=st.sampled_from(get_args(Weighting)),
    threshold=st.floats(0, 1),
    seed=st.integers(0, 50),
    index=st.integers(0, 20),
    reward=st.builds(ConfidenceReward, intercept=st.floats(-10, 10), slope=st.floats(-5, 5)),
)
def test_a_step_is_given_up_only_if_it_would_be_rejected(
    logprobs: list[float], weighting: Any, threshold: float, seed: int, index: int, reward: ConfidenceReward
) -> None:
    """Whatever the curve, the weighting and the draw: the whole step gets no more than its beginning could get."""
    settings = RSDSettings(weighting=weighting, threshold=threshold, seed=seed)
    steps = [Step("before", "draft")] * index
    step = Generation("", "eos", logprobs=tuple(logprobs))
    whole = reward.reward(surprisal(step))
    for size in range(1, len(logprobs) + 1):
        highest = reward.highest_reward(logprobs[:size])
        assert 1 >= highest >= whole
        if not suffices(step, highest, settings, steps):
            assert not suffices(step, whole, settings, steps)


@pytest.mark.parametrize("wrap", [{"ahead": True}, {"warm": True}, {"gate": 0.99}, {"hedge": 0.5}])
def test_wrappers_decide_the_same(wrap: dict[str, Any]) -> None:
    """With each of them, a draft that may give up writes the run that it writes without."""
    for logprobs, author in (([-0.01] * 9, "draft"), ([-2.0] * 9, "target")):
        models = faster(
            Reluctant(logprobs), ScriptedModel([step("better", "eos")]), ConfidenceReward(), **{"ahead": False, **wrap}
        )
        out = create_rsd_graph(*models).invoke({"problem": "p"}, context={"threshold": 0.7})
        assert [each.author for each in out["steps"]] == [author]
        bounded = highest_reward(models[2])
        assert (bounded is None) == ("gate" in wrap)  # what a gate lets pass, no reward has judged


def test_nothing_follows_a_step_that_was_given_up() -> None:
    """No wrapper starts what would come after it."""
    now = Moment(steps=[], settings=RSDSettings(), scope=RunScope())
    assert steps_with(Generation("a", "delimiter"), now) is not None
    assert steps_with(Generation("a", "length", given_up=True), now) is None


def test_the_decisions_are_the_same_with_fewer_tokens() -> None:
    """The draft that is sure writes to the end; the one that is not stops, and the target writes the step."""
    for logprobs, author, asked in (([-0.01] * 9, "draft", 8), ([-2.0] * 9, "target", 5)):
        draft = Reluctant(logprobs)
        out = create_rsd_graph(draft, ScriptedModel([step("better", "eos")]), ConfidenceReward()).invoke(
            {"problem": "p"}, context={"threshold": 0.7}
        )
        assert [each.author for each in out["steps"]] == [author]
        assert draft.asked <= asked


def test_a_step_that_was_given_up_is_never_kept() -> None:
    """Not even by a fork whose threshold its beginning would pass: the rest of it was never written."""
    graph = create_rsd_graph(
        Reluctant([-2.0] * 9),
        ScriptedModel([step("better", "eos")]),
        ConfidenceReward(),
        checkpointer=InMemorySaver(),
    )
    events = [
        event
        for event in graph.stream({"problem": "p"}, thread(), context={"threshold": 0.7}, stream_mode="custom")
        if isinstance(event, dict) and event["event"] in ("proposed", "scored")
    ]
    assert events[0]["given_up"] is True
    assert events[1]["accepted"] is False
    (scored,) = [each for each in graph.get_state_history(thread()) if each.next == ("target",)]
    assert graph.invoke(None, scored.config, context={"threshold": 0.0})["response"] == "better"


def test_other_rewards_leave_the_draft_alone() -> None:
    """A reward that can rise again must see the whole step."""
    assert highest_reward(ConfidenceReward()) is not None
    assert highest_reward(ScriptedReward([1.0])) is None
    seen: list[object] = []

    class Looking(ScriptedModel):
        async def generate(self, *args: Any, **options: Any) -> list[Generation]:
            seen.append(hopeless.get())
            return await super().generate(*args, **options)

    create_rsd_graph(Looking([step("a", "eos")]), ScriptedModel([]), ScriptedReward([1.0])).invoke({"problem": "p"})
    assert seen == [None]
