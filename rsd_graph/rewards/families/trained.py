"""Rewards that `rsd train-reward` makes: the draft's first layers, read at the newest step's delimiter.

The conversation is the draft's own, followed by the steps and their delimiters. The reward is the probability of Yes
against No as the next token, shifted by the file's `centre`; `rewards.trained` explains the file.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from rsd_graph.acceptance import sigmoid
from rsd_graph.errors import RewardError
from rsd_graph.protocols import ScoringBackend, Turn
from rsd_graph.rewards.family import Family
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Score

SYSTEM_PROMPT = RSDSettings().system_prompt
DELIMITER = RSDSettings().delimiter
LABELS = ("Yes", "No")


@dataclass(slots=True)
class TrainedScore:
    """Scores a step with a trained reward.

    Args:
        centre: The logit at which the reward is 0.5, from the reward file's card.
        template: The card's fingerprint, with which the backend's is compared; not checked by default.
        system_prompt: The draft's.
        delimiter: Follows each step.
    """

    centre: float = 0.0
    template: str | None = None
    system_prompt: str = SYSTEM_PROMPT
    delimiter: str = DELIMITER
    _checked: bool = field(default=False, init=False)

    async def __call__(self, backend: ScoringBackend, problem: str, steps: Sequence[str]) -> Score:
        """Score the last step.

        Raises:
            RewardError: the backend's chat template or tokenizer is not the one that the reward was trained with.
        """
        if self.template is not None and not self._checked:
            await self._require(self.template, backend)
            self._checked = True
        tokens = await backend.chat(opening(self.system_prompt, problem), generation_prompt=True)
        for step in steps:
            tokens = tokens + await backend.encode(step + self.delimiter)
        labels = [(await backend.encode(label))[0] for label in LABELS]
        reading = await backend.label_logprobs(tokens, labels)
        yes, no = reading.values
        return Score(sigmoid(yes - no - self.centre), reading.usage)

    async def _require(self, template: str, backend: ScoringBackend) -> None:
        tokens = await backend.chat(opening(self.system_prompt, SAMPLE), generation_prompt=True)
        if fingerprint(tokens) != template:
            raise RewardError(
                f"{backend.name}: the reward was trained with another chat template or tokenizer; train one for this "
                "model (`rsd train-reward`)"
            )


SAMPLE = "What is 17 \u00d7 3?\n\n\\frac{1}{2}"
"""A problem whose tokens differ between chat templates and between tokenizers."""


def opening(system_prompt: str, problem: str) -> list[Turn]:
    """The conversation that a response answers, as the draft sees it."""
    system: list[Turn] = [{"role": "system", "content": system_prompt}] if system_prompt else []
    return [*system, {"role": "user", "content": problem}]


def fingerprint(tokens: Sequence[int]) -> str:
    """Of a chat template and a tokenizer: the SHA-256 of the token ids that they make of `SAMPLE`'s conversation."""
    return hashlib.sha256(json.dumps(list(tokens)).encode()).hexdigest()


async def trained(backend: ScoringBackend, problem: str, steps: Sequence[str], *, centre: float = 0.0) -> Score:
    """Score the last step with a reward that `rsd export-reward` wrote and a server holds."""
    return await TrainedScore(centre)(backend, problem, steps)


TRAINED = Family(score=trained, options=("centre",))
