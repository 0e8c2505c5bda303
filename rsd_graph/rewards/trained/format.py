"""The metadata of a reward file: its card."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from rsd_graph.rewards.combined import StepCalibration
from rsd_graph.rewards.confidence import LARGEST_LOGIT
from rsd_graph.rewards.families.trained import DELIMITER, SYSTEM_PROMPT, TrainedScore

FORMAT: Literal[1] = 1
SUFFIX = ".safetensors"


LONGEST_TEXT = 100_000
MOST_LAYERS = 10_000
LARGEST_RANK = 100_000


class Base(BaseModel):
    """The model that a reward was trained on."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=LONGEST_TEXT)
    """Shown, and nothing else: no path is made of it."""
    sha256: str = Field(max_length=LONGEST_TEXT)
    """Of the GGUF file, or of all safetensors files of a folder in the order of their names. It also differs between
    quantisations of one model."""


class Card(BaseModel):
    """The metadata of a reward file."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    format: Literal[1] = FORMAT
    base: Base
    family: Literal["probe", "lora"]
    layers: int = Field(ge=1, le=MOST_LAYERS)
    """How many of the base's first layers are kept."""
    parameters: float = Field(gt=0)
    """Parameters of the part of the base that is kept, output matrix included: an upper bound for a token's cost."""
    centre: float = Field(ge=-LARGEST_LOGIT, le=LARGEST_LOGIT)
    """The logit at which the reward is 0.5."""
    template: str = Field(max_length=LONGEST_TEXT)
    """Fingerprint of the chat template and the tokenizer; see `rewards.families.trained.fingerprint`."""
    system_prompt: str = Field(default=SYSTEM_PROMPT, max_length=LONGEST_TEXT)
    delimiter: str = Field(default=DELIMITER, min_length=1, max_length=LONGEST_TEXT)
    rank: int = Field(default=0, ge=0, le=LARGEST_RANK)
    seed: int = Field(default=0, ge=0, lt=2**31)
    curve: StepCalibration | None = None
    """Combines the reward with the draft's surprisal; None where there was too little data to fit it."""
    training: dict[str, Any] = {}
    """The data and figures that `rsd train-reward` reported."""

    def score(self) -> TrainedScore:
        """How a step is scored with this reward; another chat template or tokenizer is refused."""
        return TrainedScore(self.centre, self.template, self.system_prompt, self.delimiter)


def is_reward_file(path: Path) -> bool:
    """Whether the path is that of a reward file, by its suffix."""
    return path.suffix == SUFFIX
