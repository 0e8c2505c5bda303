from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from langchain_core.messages import BaseMessage, HumanMessage

from rsd_graph import Generation, RSDSettings, Score, Step, TokenUsage, Usage
from rsd_graph.acceptance import accepts
from rsd_graph.errors import ContextOverflowError, ModelUnreachableError, RewardError
from rsd_graph.nodes import score_node
from rsd_graph.testing import ScriptedReward
from tests.nodes.running import SPENT, run_node, under_way


class Recorder:
    """A reward model that returns one object, and records what it was asked."""

    name = "prm"

    def __init__(self, scores: Any) -> None:
        self.scores = scores
        self.calls: list[Any] = []

    async def score(
        self, messages: Sequence[BaseMessage], steps: Sequence[Step], candidates: Sequence[Generation]
    ) -> Any:
        self.calls.append((messages, steps, candidates))
        return self.scores


def test_the_proposal_gets_its_reward() -> None:
    """The model sees conversation, kept steps and the one candidate; its tokens are added to the reward's."""
    used = TokenUsage(prompt=8, cached=2, completion=1)
    model = Recorder([Score(0.75, used)])
    kept = Step("a", "target", 0.2)
    state = under_way(kept)
    update, events = run_node(score_node(model), state)
    assert update == {"reward": 0.75, "usage": SPENT + Usage(reward=used)}
    assert events == [{"event": "scored", "step": 1, "reward": 0.75, "accepted": True}]
    assert model.calls == [([HumanMessage("p")], [kept], [state["proposal"]])]


@hypothesis_settings(max_examples=25)
@given(reward=st.floats(0, 1), seed=st.integers(0, 1000), steps=st.integers(0, 3))
def test_the_event_says_what_the_edge_decides(reward: float, seed: int, steps: int) -> None:
    """`accepted` is the acceptance rule's answer for this seed and this step, drawn the same way."""
    settings = RSDSettings(weighting="clipping", seed=seed)
    state = under_way(*[Step("a", "draft")] * steps)
    _, events = run_node(score_node(ScriptedReward([reward])), state, settings)
    accepted = accepts(reward, settings, steps)
    assert events == [{"event": "scored", "step": steps, "reward": reward, "accepted": accepted}]


def test_without_a_proposal_nothing_is_scored() -> None:
    """The draft's context was full: the run is about to end, and the reward model is not called."""
    model = Recorder([Score(1.0)])
    assert run_node(score_node(model), under_way(proposal=None, stop="context_overflow")) == ({}, [])
    assert model.calls == []


@pytest.mark.parametrize(("text", "finish"), [("", "delimiter"), (" \n", "delimiter"), ("", "length")])
def test_a_blank_proposal_is_rejected_unscored(text: str, finish: Any) -> None:
    """There is nothing to judge: the event says so, and no token is spent."""
    model = Recorder([Score(1.0)])
    update, events = run_node(score_node(model), under_way(proposal=Generation(text, finish), reward=0.9))
    assert update == {"reward": None}
    assert events == [{"event": "scored", "step": 0, "reward": None, "accepted": False}]
    assert model.calls == []


@pytest.mark.parametrize(("text", "finish"), [("", "eos"), (" \n", "eos"), (" ", "length")])
def test_an_empty_end_of_text_is_scored(text: str, finish: Any) -> None:
    """Ending the response is a decision of the draft, and white space at a token limit may be part of a step."""
    model = Recorder([Score(0.1)])
    update, events = run_node(score_node(model), under_way(proposal=Generation(text, finish)))
    assert update["reward"] == 0.1
    assert events == [{"event": "scored", "step": 0, "reward": 0.1, "accepted": False}]
    assert len(model.calls) == 1


def test_a_full_context_of_the_reward_model_stops_the_run() -> None:
    """The proposal was not judged, so it is not kept: its tokens count as discarded."""
    model = ScriptedReward([ContextOverflowError("long")])
    update, events = run_node(score_node(model), under_way())
    assert update == {"proposal": None, "stop": "context_overflow", "usage": SPENT + Usage(discarded=4)}
    assert events == []


def test_any_other_error_leaves_the_node() -> None:
    """A reward model that is gone is not a reason to stop quietly."""
    with pytest.raises(ModelUnreachableError, match="gone"):
        run_node(score_node(ScriptedReward([ModelUnreachableError("gone")])), under_way())


@pytest.mark.parametrize(
    "reward", [float("nan"), float("inf"), -float("inf"), 1.0000001, -0.1, None, "0.5", 0.5j, Decimal("0.5"), [0.5]]
)
def test_a_reward_that_is_no_number_in_range_is_refused(reward: Any) -> None:
    """NaN, infinity, numbers outside [0, 1] and other types are named, never compared with the threshold."""
    with pytest.raises(RewardError, match=r"^prm gave the reward .*, expected a number in \[0, 1\]"):
        run_node(score_node(Recorder([Score(reward)])), under_way())


@pytest.mark.parametrize("reward", [0, 1, True, 0.0, 1.0, Fraction(1, 2), np.float32(0.75), np.float64(1), np.int64(0)])
def test_any_real_number_in_range_becomes_a_float(reward: Any) -> None:
    """The bounds included; state and event hold Python's float, which every checkpointer can write."""
    update, events = run_node(score_node(Recorder([Score(reward)])), under_way())
    assert (update["reward"], type(update["reward"])) == (float(reward), float)
    assert type(events[0]["reward"]) is float


@pytest.mark.parametrize(
    "scores", [None, [], 0.5, [None], [0.5], [{"reward": 0.5}], [Score(0.5), Score(0.5)], Score(0.5)]
)
def test_anything_but_one_score_is_refused(scores: Any) -> None:
    """One candidate gets one `Score`, in a list."""
    with pytest.raises(RewardError, match=r"^prm returned .*, expected a list of one Score for one candidate"):
        run_node(score_node(Recorder(scores)), under_way())


def test_a_tuple_of_one_score_will_do() -> None:
    """Any sequence counts as a list."""
    assert run_node(score_node(Recorder((Score(0.5),))), under_way())[0]["reward"] == 0.5
