"""*gate*: a step of which the draft is confident enough is accepted without asking the reward model.

The only wrapper that changes decisions. A step that it lets pass has no reward (`Step.reward` is None), which no other
kept step of the draft has. ConfSpec (arXiv 2602.18447) gates its target this way.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.messages import BaseMessage

from rsd_graph.latency.bound import checked_bound, confidence_in
from rsd_graph.latency.early import only
from rsd_graph.protocols import RewardModel
from rsd_graph.rewards.confidence import ConfidenceReward
from rsd_graph.run_scope import moment
from rsd_graph.state import GATE_REWARD, Generation, Score, Step

PASSED = Score(GATE_REWARD, gated=True)
"""What stands for the reward in the decision: every weighting function accepts the highest reward most readily, and
`step`, the default, always."""


def gated(reward: RewardModel, bound: float, *, confidence: RewardModel | None = None) -> RewardModel:
    """The reward, asked only about steps of which the draft is less confident than `bound`.

    Args:
        reward: Scores the others.
        bound: In [0, 1], compared with the confidence.
        confidence: Says how sure the draft is; by default `ConfidenceReward`, calibrated for the embedded draft.

    Raises:
        ConfigurationError: the bound is not a number in [0, 1].
    """
    return _GatedReward(reward, checked_bound(bound, "gate"), confidence or ConfidenceReward())


@dataclass(frozen=True, slots=True)
class _GatedReward:
    model: RewardModel
    bound: float
    confidence: RewardModel

    @property
    def name(self) -> str:
        return self.model.name

    async def score(
        self, messages: Sequence[BaseMessage], steps: Sequence[Step], candidates: Sequence[Generation]
    ) -> list[Score]:
        candidate = only(candidates)
        in_a_run = moment() is not None  # elsewhere there is nothing to accept: a reward is wanted
        if in_a_run and candidate and await confidence_in(self.confidence, messages, steps, candidate) >= self.bound:
            return [PASSED]
        return await self.model.score(messages, steps, candidates)
