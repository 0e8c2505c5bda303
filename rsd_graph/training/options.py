"""What a training run may choose, and the hyperparameters that follow for one model."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from rsd_graph.settings import RSDSettings
from rsd_graph.training.labels import Labelling


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """How to train. LoRA changes the layers from `first` to before `last`; `last` layers are kept."""

    first: int
    last: int
    rank: int = 8
    epochs: int = 3
    rate: float = 5e-4
    """Peak learning rate."""
    decay: float = 0.05
    """Weight decay."""
    seed: int = 0


class Options(BaseModel):
    """The options of `rsd train-reward`."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=1000, ge=1)
    """Problems to sample, chosen at random."""
    labels: Labelling = "answer"
    continuations: int = Field(default=4, ge=1)
    """Per step, for `monte-carlo`."""
    layers: float = Field(default=0.58, gt=0, le=1)
    """Share of the draft's layers that are kept."""
    family: Literal["lora", "probe"] = "lora"
    """Whether the last kept layers are changed (`lora`) or all stay frozen (`probe`)."""
    changed: int = Field(default=4, ge=1)
    """Layers that `lora` changes."""
    rank: int = Field(default=8, ge=1)
    epochs: int = Field(default=3, ge=1)
    temperature: float = Field(default=0.0, ge=0, le=2)
    """Sampling temperature of the solutions; the one that the draft will be deployed with."""
    max_tokens: int = Field(default=600, ge=1)
    """Limit of one solution."""
    seed: int = Field(default=0, ge=0, lt=2**31)

    def hyperparameters(self, depth: int) -> Hyperparameters:
        """How to train a draft of so many layers."""
        last = max(1, round(depth * self.layers))
        first = last
        if self.family == "lora":
            first = min(last, max(1, last - self.changed))  # the bare embeddings are not worth keeping on disk
        return Hyperparameters(first=first, last=last, rank=self.rank, epochs=self.epochs, seed=self.seed)

    def settings(self) -> RSDSettings:
        """The settings that solutions are sampled with."""
        return RSDSettings(temperature=self.temperature, max_tokens=self.max_tokens, seed=self.seed)
