"""A reward trained on the draft model itself: a file of a few megabytes instead of a model of its own.

The draft is cut behind its first layers. What is left reads the conversation and the steps; behind the newest step's
delimiter a linear reading of the last hidden state, calibrated, gives the reward. The *file* holds that reading and,
for the family `lora`, low-rank changes to some of the layers. `rsd train-reward` makes one (`rsd_graph.training`).

The reading is no head of its own: it scales the final norm such that the difference between the logits of two label
tokens, Yes and No, is the reward's log-odds. So a cut draft with the file merged on is an ordinary language model,
which llama.cpp (`rewards.trained.gguf`) and vLLM (`training.export`) run as they are, prefix cache included: a step
costs its own tokens, through a part of a small model's layers.

After ReProbe (arXiv 2511.06209), which reads frozen hidden states with a small probe, and the label tokens of
Math-Shepherd (arXiv 2312.08935).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rsd_graph._internal.files import write_atomically
from rsd_graph.acceptance import sigmoid
from rsd_graph.errors import ChecksumError, RewardError, WeightsError, describe
from rsd_graph.models.weights import NEEDS_LOCAL
from rsd_graph.protocols import ScoringBackend, Turn
from rsd_graph.rewards.combined import StepCalibration
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Score

if TYPE_CHECKING:
    import numpy as np

FORMAT: Literal[1] = 1
SUFFIX = ".safetensors"
LABELS = ("Yes", "No")
SHIPPED = Path(__file__).with_name("embedded-draft.safetensors")
"""The embedded draft's own."""

_CARD = "rsd_reward"
SYSTEM_PROMPT = RSDSettings().system_prompt
DELIMITER = RSDSettings().delimiter


class Base(BaseModel):
    """The model that a reward was trained on."""

    model_config = ConfigDict(extra="forbid")

    name: str
    sha256: str
    """Of the GGUF file, or of all safetensors files of a folder, by name: tells quantisations apart."""


class Card(BaseModel):
    """What a reward file says of itself."""

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = FORMAT
    base: Base
    family: Literal["probe", "lora"]
    layers: int = Field(ge=1)
    """Layers of the base that are kept."""
    parameters: float = Field(gt=0)
    """Of the base's part that is kept, output matrix included: what a token costs at most."""
    centre: float
    """Logit that is worth a reward of 0.5."""
    template: str
    """Fingerprint of the chat template and the tokenizer; see `fingerprint`."""
    system_prompt: str = SYSTEM_PROMPT
    delimiter: str = DELIMITER
    rank: int = 0
    seed: int = 0
    curve: StepCalibration | None = None
    """Makes the reward of a step of it, together with the draft's surprisal; None if none could be fitted."""
    training: dict[str, Any] = {}
    """Data and figures: what `rsd train-reward` reported."""


@dataclass(frozen=True, slots=True)
class TrainedReward:
    """A reward file, read."""

    card: Card
    norm: "np.ndarray"
    """Scale of the final norm, shape (hidden size,)."""
    updates: "Mapping[str, tuple[np.ndarray, np.ndarray]]" = field(default_factory=dict)
    """Low-rank changes by weight, such as `layers.12.self_attn.q_proj`: shapes (rank, inputs) and (outputs, rank)."""

    @property
    def parameters(self) -> int:
        """Numbers that were trained."""
        return int(self.norm.size + sum(down.size + up.size for down, up in self.updates.values()))

    @property
    def identity(self) -> str:
        """Tells it from every other reward: the SHA-256 of its card and its numbers."""
        return hashlib.sha256((self.card.model_dump_json() + _digest(self._tensors())).encode()).hexdigest()

    def save(self, file: Path) -> None:
        """Write the file; it appears whole or not at all."""
        from safetensors.numpy import save

        tensors = self._tensors()
        metadata = {_CARD: self.card.model_dump_json(), "sha256": _digest(tensors)}
        write_atomically(file, save(tensors, metadata))

    def _tensors(self) -> "dict[str, np.ndarray]":
        """Its numbers as the file holds them."""
        import numpy as np

        tensors = {"norm": self.norm.astype(np.float32)}
        for name, (down, up) in self.updates.items():
            tensors[f"{name}.down"] = np.ascontiguousarray(down, np.float16)
            tensors[f"{name}.up"] = np.ascontiguousarray(up, np.float16)
        return tensors


def load_reward(file: Path) -> TrainedReward:
    """Read a reward file.

    Raises:
        WeightsError: it is not there, or is no reward file of this version.
        ChecksumError: its numbers are not those that were written.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise WeightsError(NEEDS_LOCAL) from error
    try:
        with safe_open(file, framework="np") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  # it is no dict
        card = Card.model_validate_json(metadata[_CARD])
    except OSError as error:
        raise WeightsError(f"cannot read the reward file {file}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise WeightsError(f"the reward file {file} is damaged: {error}") from error
    except KeyError as error:
        raise WeightsError(f"{file} is no reward file; `rsd train-reward` writes them") from error
    except ValidationError as error:
        raise WeightsError(f"{file} is a reward file of another version: {describe(error)}") from error
    if metadata.get("sha256") != _digest(tensors):
        raise ChecksumError(f"the reward file {file} is damaged: its numbers are not those that were written")
    names = {name.rpartition(".")[0] for name in tensors if name != "norm"}
    return TrainedReward(
        card, tensors["norm"], {name: (tensors[f"{name}.down"], tensors[f"{name}.up"]) for name in sorted(names)}
    )


@dataclass(slots=True)
class Trained:
    """The recipe of a trained reward.

    Args:
        centre: Logit that is worth 0.5: the card's.
        template: The card's fingerprint, held against the engine's; not checked by default.
        system_prompt: As the draft's.
        delimiter: Behind each step.
    """

    centre: float = 0.0
    template: str | None = None
    system_prompt: str = SYSTEM_PROMPT
    delimiter: str = DELIMITER
    _checked: bool = field(default=False, init=False)

    @classmethod
    def of(cls, card: Card) -> "Trained":
        """The recipe that a reward file's card describes."""
        return cls(card.centre, card.template, card.system_prompt, card.delimiter)

    async def __call__(self, engine: ScoringBackend, problem: str, steps: Sequence[str]) -> Score:
        """Score the last step.

        Raises:
            RewardError: the engine's chat template or tokenizer is not the one that the reward was trained with.
        """
        if self.template is not None and not self._checked:
            await self._require(self.template, engine)
            self._checked = True
        tokens = await engine.chat(opening(self.system_prompt, problem), generation_prompt=True)
        for step in steps:
            tokens = tokens + await engine.encode(step + self.delimiter)
        labels = [(await engine.encode(label))[0] for label in LABELS]
        reading = await engine.labels(tokens, labels)
        yes, no = reading.values
        return Score(sigmoid(yes - no - self.centre), reading.usage)

    async def _require(self, template: str, engine: ScoringBackend) -> None:
        tokens = await engine.chat(opening(self.system_prompt, SAMPLE), generation_prompt=True)
        if fingerprint(tokens) != template:
            raise RewardError(
                f"{engine.name}: the reward was trained with another chat template or tokenizer; train one for this "
                "model (`rsd train-reward`)"
            )


SAMPLE = "What is 17 \u00d7 3?\n\n\\frac{1}{2}"
"""A problem whose tokens tell templates and tokenizers apart."""


def opening(system_prompt: str, problem: str) -> list[Turn]:
    """The conversation that a response answers, as the draft sees it."""
    system: list[Turn] = [{"role": "system", "content": system_prompt}] if system_prompt else []
    return [*system, {"role": "user", "content": problem}]


def fingerprint(tokens: Sequence[int]) -> str:
    """Of a chat template and a tokenizer: the SHA-256 of the token ids that they make of `SAMPLE`'s conversation."""
    return hashlib.sha256(json.dumps(list(tokens)).encode()).hexdigest()


def _digest(tensors: "Mapping[str, np.ndarray]") -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].tobytes())
    return digest.hexdigest()
