"""*ahead*: the draft writes step i+1 while step i is being scored.

A step that is accepted then takes as long as the slower of draft and reward, rather than both. A rejection ends the
call at once: its connection is closed, and vLLM stops computing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.messages import BaseMessage

from rsd_graph.latency.acceptance import is_accepted, steps_with
from rsd_graph.latency.early import Anticipated, EarlyCall, only
from rsd_graph.latency.wrapped import WrappedReward
from rsd_graph.next_step import request
from rsd_graph.protocols import RewardModel, StepGenerator
from rsd_graph.run_scope import moment
from rsd_graph.state import Generation, Score, Step, TokenUsage


def draft_ahead(draft: StepGenerator, reward: RewardModel) -> tuple[StepGenerator, RewardModel]:
    """Draft and reward, wrapped: while the reward scores a step, the draft already writes the one after it."""
    ahead = Anticipated(draft)
    return ahead, _AheadReward(reward, ahead)


@dataclass(frozen=True, slots=True)
class _AheadReward(WrappedReward):
    """The reward; while it scores, the draft goes ahead."""

    draft: Anticipated

    async def score(
        self, messages: Sequence[BaseMessage], steps: Sequence[Step], candidates: Sequence[Generation]
    ) -> list[Score]:
        now, candidate = moment(), only(candidates)
        following = steps_with(candidate, now) if now and candidate else None
        if now is None or candidate is None or following is None:
            return await self.model.score(messages, steps, candidates)
        asked = request("draft", messages, following, now.settings)
        now.scope.leave(self.draft, EarlyCall(self.draft.model, "draft", asked, _read(candidate), self.draft.pace))
        scores = await self.model.score(messages, steps, candidates)
        if not is_accepted(scores, now):
            now.scope.drop(self.draft)
        return scores


def _read(candidate: Generation) -> TokenUsage:
    """What the draft reads for the step after this one: all of it has just been in its cache."""
    tokens = candidate.usage.prompt + candidate.usage.completion
    return TokenUsage(prompt=tokens, cached=tokens)
