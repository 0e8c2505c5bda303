"""The draft's own confidence as the reward: no model, no call, no cost.

The surprisal of a step, the negative sum of its tokens' log-probabilities, measures how sure the draft was of all of
it. A logistic curve turns it into a reward: the probability that the step is right. Its two parameters were fitted to
solutions of training problems for which only the final answer is known (`rsd_graph.evaluation.calibration`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.messages import BaseMessage
from pydantic import BaseModel, ConfigDict, Field

from rsd_graph.acceptance import sigmoid
from rsd_graph.errors import RewardError
from rsd_graph.models.logprobs import checked_logprob
from rsd_graph.state import Generation, Score, Step

LARGEST_LOGIT = 1e6
"""Beyond it, a calibration is nonsense, and its sum could overflow."""
ROUNDING = 1e-9
"""Nats by which the sum of a step's log-probabilities may differ from the sum of a part of it."""


class ConfidenceCurve(BaseModel):
    """The two numbers of `ConfidenceReward` for a draft, as `rsd.toml` holds them."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    intercept: float = Field(ge=-LARGEST_LOGIT, le=LARGEST_LOGIT)
    slope: float = Field(ge=-LARGEST_LOGIT, le=LARGEST_LOGIT)


@dataclass(frozen=True, slots=True)
class ConfidenceReward:
    """`reward = sigmoid(intercept - slope * log(1 + surprisal))`, with the step's surprisal in nats.

    The defaults were fitted to the embedded draft at temperature 0. `rsd fit-confidence` fits them to another draft.
    """

    intercept: float = 5.46
    slope: float = 2.23
    name: str = "confidence"

    async def score(
        self,
        messages: Sequence[BaseMessage],  # noqa: ARG002  # of the protocol
        steps: Sequence[Step],  # noqa: ARG002  # of the protocol
        candidates: Sequence[Generation],
    ) -> list[Score]:
        """See `RewardModel.score`.

        Raises:
            RewardError: the draft's backend gives no token log-probabilities, or some that are none.
        """
        return [Score(0.0 if is_wordless(each) else self.reward(surprisal(each))) for each in candidates]

    def highest_reward(self, logprobs: Sequence[float]) -> float:
        """See `protocols.highest_reward`: each further token adds to the surprisal, and none can take from it."""
        if self.slope < 0:  # a calibration by which surprise is good
            return 1.0
        return self.reward(max(0.0, -sum(min(0.0, value) for value in logprobs) - ROUNDING))

    def reward(self, surprisal: float) -> float:
        """The calibrated probability in [0, 1] that a step of this surprisal (nats, 0 or more) is right."""
        return sigmoid(self.intercept - self.slope * math.log1p(surprisal))


def is_wordless(generation: Generation) -> bool:
    """Whether the draft ended the text without a single token: its confidence says nothing, and the target decides."""
    return generation.logprobs is not None and not len(generation.logprobs)


def surprisal(generation: Generation) -> float:
    """Negative sum of the step's token log-probabilities, in nats; 0 for a step the draft was certain of.

    Raises:
        RewardError: there are none, or one is NaN, infinite or positive beyond rounding.
    """
    if generation.logprobs is None:
        raise RewardError("this reward needs the draft's token log-probabilities, and its backend gives none")
    return abs(sum(checked_logprob(value, "the draft", RewardError) for value in generation.logprobs))
