"""A trained reward and the draft's confidence combined: is this *step* right?

A reward of `rewards.trained` predicts how the whole solution will end. After a wrong step that was kept it stays low,
and RSD would have the target write the rest of a lost solution. The draft's surprisal at the step
(`rewards.confidence`) judges the step alone. A calibration combines both into one probability; `rsd train-reward` fits
it to solutions of held-out problems, as `evaluation.calibration` explains, and writes it into the reward file.
"""

import math
from collections.abc import Sequence
from typing import Generic, TypeVar

from langchain_core.messages import BaseMessage
from pydantic import BaseModel, ConfigDict, Field

from rsd_graph.acceptance import sigmoid
from rsd_graph.errors import RewardError
from rsd_graph.protocols import RewardModel
from rsd_graph.rewards.confidence import LARGEST_LOGIT, is_wordless, surprisal
from rsd_graph.state import Generation, Score, Step

R = TypeVar("R", bound=RewardModel)

LEAST = 1e-6
"""Trained rewards are clipped to [LEAST, 1 - LEAST], so that their log-odds are finite."""


class StepCalibration(BaseModel):
    """From a trained reward and a surprisal to the probability that the step is right.

    `reward = sigmoid(intercept + value * log_odds(trained) - surprisal * log(1 + nats))`
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    intercept: float = Field(ge=-LARGEST_LOGIT, le=LARGEST_LOGIT)
    value: float = Field(ge=-LARGEST_LOGIT, le=LARGEST_LOGIT)
    surprisal: float = Field(ge=-LARGEST_LOGIT, le=LARGEST_LOGIT)

    def reward(self, trained: float, nats: float) -> float:
        """The probability in [0, 1] that a step is right.

        Args:
            trained: The trained reward, in [0, 1].
            nats: The step's surprisal, 0 or more.
        """
        return sigmoid(self.intercept + self.value * log_odds(trained) - self.surprisal * math.log1p(nats))


class CombinedReward(Generic[R]):
    """A trained reward, corrected by the draft's surprisal.

    Args:
        trained: Predicts how the solution will end.
        curve: From the reward file's card.
    """

    needs_logprobs = True
    """It reads the draft's surprisal; see `protocols.needs_logprobs`."""

    def __init__(self, trained: R, curve: StepCalibration) -> None:
        self.trained = trained
        self._curve = curve

    @property
    def name(self) -> str:
        """What to call it in messages and tables."""
        return f"{self.trained.name}, with the draft's confidence"

    async def score(
        self, messages: Sequence[BaseMessage], steps: Sequence[Step], candidates: Sequence[Generation]
    ) -> list[Score]:
        """See `RewardModel.score`.

        Raises:
            RewardError: the draft's backend gives no token log-probabilities, or a number cannot be a probability.
        """
        nats = [surprisal(candidate) for candidate in candidates]
        scores = await self.trained.score(messages, steps, candidates)
        return [
            Score(0.0 if is_wordless(candidate) else self._curve.reward(self._probability(score), own), score.usage)
            for candidate, score, own in zip(candidates, scores, nats, strict=True)
        ]

    def _probability(self, score: Score) -> float:
        """The trained reward, before clipping would hide that it is none."""
        if not 0 <= score.reward <= 1:  # NaN fails this too
            raise RewardError(f"{self.trained.name} gave the reward {score.reward!r}, expected a number in [0, 1]")
        return score.reward


def log_odds(probability: float) -> float:
    """The log-odds of a probability; finite for 0 and 1 too."""
    kept = min(max(probability, LEAST), 1 - LEAST)
    return math.log(kept / (1 - kept))
