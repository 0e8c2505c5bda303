"""*hedge*: the target starts on a step of which the draft is unsure, alongside the reward model.

If the step is rejected, the target has already begun; if it is accepted, the target's call is ended.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.messages import BaseMessage

from rsd_graph.latency.acceptance import is_accepted
from rsd_graph.latency.bound import checked_bound, confidence_in
from rsd_graph.latency.early import Anticipated, EarlyCall, only
from rsd_graph.latency.wrapped import WrappedReward
from rsd_graph.next_step import request
from rsd_graph.protocols import RewardModel, StepGenerator
from rsd_graph.rewards.confidence import ConfidenceReward
from rsd_graph.run_scope import moment
from rsd_graph.state import Generation, Score, Step, TokenUsage


def hedged(
    target: StepGenerator, reward: RewardModel, bound: float, *, confidence: RewardModel | None = None
) -> tuple[StepGenerator, RewardModel]:
    """Target and reward, wrapped: steps of which the draft is less confident than `bound` start the target at once.

    Args:
        target: Rewrites rejected steps.
        reward: Scores them.
        bound: In [0, 1], compared with the confidence.
        confidence: As in `gated`.

    Raises:
        ConfigurationError: the bound is not a number in [0, 1].
    """
    early = Anticipated(target)
    return early, _HedgedReward(reward, early, checked_bound(bound, "hedge"), confidence or ConfidenceReward())


@dataclass(frozen=True, slots=True)
class _HedgedReward(WrappedReward):
    """The reward; while it scores a doubtful step, the target writes it anew."""

    target: Anticipated
    bound: float
    confidence: RewardModel

    @property
    def needs_logprobs(self) -> bool:
        """The draft's confidence is read whatever the reward reads."""
        return True

    async def score(
        self, messages: Sequence[BaseMessage], steps: Sequence[Step], candidates: Sequence[Generation]
    ) -> list[Score]:
        now, candidate = moment(), only(candidates)
        if (
            now is None
            or candidate is None
            or await confidence_in(self.confidence, messages, steps, candidate) >= self.bound
        ):
            return await self.model.score(messages, steps, candidates)
        asked = request("target", messages, now.steps, now.settings)
        # what it finds in its cache is not known: all counts as read
        read = TokenUsage(prompt=candidate.usage.prompt)
        now.scope.leave(self.target, EarlyCall(self.target.model, "target", asked, read, self.target.pace))
        scores = await self.model.score(messages, steps, candidates)
        if is_accepted(scores, now):
            now.scope.drop(self.target)
        return scores
