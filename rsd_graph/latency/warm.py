"""*warm*: the target reads steps as they are accepted, so that its first token comes at once when it is called.

The prefix cache of the target's server is filled by asking for one token, which is dropped. At most one such call of a
run is on its way; the next one reads what was accepted meanwhile.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from langchain_core.messages import BaseMessage

from rsd_graph.latency.acceptance import is_accepted, steps_with
from rsd_graph.latency.early import EarlyCall, Pace, only
from rsd_graph.latency.wrapped import WrappedReward
from rsd_graph.next_step import Request, request
from rsd_graph.protocols import RewardModel, StepGenerator
from rsd_graph.run_scope import Moment, moment
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Generation, Score, Step, TokenUsage


def warmed(target: StepGenerator, reward: RewardModel) -> tuple[StepGenerator, RewardModel]:
    """Target and reward, wrapped: a step that the reward accepts is read by the target while the draft writes on."""
    warm = _WarmTarget(target)
    return warm, _WarmReward(reward, warm)


@dataclass(frozen=True, slots=True, eq=False)
class _WarmTarget:
    """The target; it also names the place of its early calls."""

    model: StepGenerator
    pace: Pace = field(default_factory=Pace)

    @property
    def name(self) -> str:
        return self.model.name

    async def generate(
        self, messages: Sequence[BaseMessage], response: str, *, settings: RSDSettings, n: int = 1
    ) -> list[Generation]:
        now = moment()
        reading = now.scope.take(self) if now else None
        if now and isinstance(reading, EarlyCall):
            try:
                await reading.ended()  # what it reads would have to be read now
            finally:
                now.scope.spend(reading.abandon())
        return await self.model.generate(messages, response, settings=settings, n=n)

    def read(self, asked: Request, candidate: Generation, now: Moment) -> None:
        """Begin to read, unless an earlier call still does."""
        early = now.scope.take(self)
        if isinstance(early, EarlyCall):
            if early.running:
                now.scope.leave(self, early)
                return
            now.scope.spend(early.abandon())
        one = replace(asked, settings=asked.settings.model_copy(update={"max_step_tokens": 1}))
        # only what it reads of this step is known to be new
        tokens = candidate.usage.prompt + candidate.usage.completion
        usage = TokenUsage(prompt=tokens, cached=candidate.usage.prompt)
        now.scope.leave(self, EarlyCall(self.model, "target", one, usage, self.pace))


@dataclass(frozen=True, slots=True)
class _WarmReward(WrappedReward):
    """The reward; when it accepts a step, the target begins to read it."""

    target: _WarmTarget

    async def score(
        self, messages: Sequence[BaseMessage], steps: Sequence[Step], candidates: Sequence[Generation]
    ) -> list[Score]:
        scores = await self.model.score(messages, steps, candidates)
        now, candidate = moment(), only(candidates)
        if now and candidate and is_accepted(scores, now):
            following = steps_with(candidate, now)
            if following:
                self.target.read(request("target", messages, following, now.settings), candidate, now)
        return scores
