import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.messages import BaseMessage

from rsd_graph import Generation, RSDSettings, create_rsd_graph
from rsd_graph.latency import draft_ahead, gated, hedged, warmed
from rsd_graph.models.replicas import ReplicatedReward
from rsd_graph.protocols import generating, logprobs_wanted, needs_logprobs
from rsd_graph.rewards import process_reward
from rsd_graph.rewards.combined import CombinedReward, StepCalibration
from rsd_graph.rewards.confidence import ConfidenceReward
from rsd_graph.rewards.judge import served_judge
from rsd_graph.testing import ScriptedModel, ScriptedReward

URL = "http://127.0.0.1:1"


class Asked(ScriptedModel):
    """Notes whether its log-probabilities are wanted."""

    def __init__(self, answers: Sequence[Any]) -> None:
        super().__init__(answers)
        self.wanted: list[bool] = []

    async def generate(
        self, messages: Sequence[BaseMessage], response: str, *, settings: RSDSettings, n: int = 1
    ) -> list[Generation]:
        self.wanted.append(logprobs_wanted.get())
        return await super().generate(messages, response, settings=settings, n=n)


def test_rewards_say_whether_they_read_log_probabilities() -> None:
    """One that does not say is taken to; wrappers and replicas pass on what theirs says."""
    prm, confidence, own = process_reward(URL), ConfidenceReward(), ScriptedReward([])
    model = ScriptedModel([])
    curve = StepCalibration(intercept=0, value=1, surprisal=1)
    assert not needs_logprobs(prm)
    assert not needs_logprobs(served_judge(URL, model="m"))
    assert needs_logprobs(confidence)
    assert needs_logprobs(CombinedReward(prm, curve))
    assert needs_logprobs(own)
    for reward in (prm, confidence):
        expected = reward is confidence
        assert needs_logprobs(draft_ahead(model, reward)[1]) is expected
        assert needs_logprobs(warmed(model, reward)[1]) is expected
        assert needs_logprobs(gated(reward, 0.5))
        assert needs_logprobs(hedged(model, reward, 0.5)[1])
        assert needs_logprobs(draft_ahead(model, gated(reward, 0.5))[1])
    assert not needs_logprobs(ReplicatedReward([prm, process_reward(URL)]))


@pytest.mark.parametrize("reads", [True, False])
def test_the_models_of_a_run_know(reads: bool) -> None:
    """The draft's are wanted if the reward reads them, the target's never."""
    reward = ScriptedReward([0.1, 0.9])
    vars(reward)["needs_logprobs"] = reads
    draft = Asked([Generation("a", "delimiter"), Generation("c", "eos")])
    target = Asked([Generation("b", "delimiter")])
    out = create_rsd_graph(draft, target, reward).invoke({"problem": "p"})
    assert out["response"] == "b\n\nc"
    assert (draft.wanted, target.wanted) == ([reads] * 2, [False])


def test_outside_a_run_they_are_wanted() -> None:
    """Whoever calls a model directly gets all that it has, as before."""

    async def run() -> list[bool]:
        seen = [logprobs_wanted.get()]
        with generating(logprobs=False):
            seen.append(logprobs_wanted.get())
        return [*seen, logprobs_wanted.get()]

    assert asyncio.run(run()) == [True, False, True]
