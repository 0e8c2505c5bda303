"""Reward files: read and written."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from rsd_graph._internal.files import write_atomically
from rsd_graph.errors import ChecksumError, WeightsError, describe
from rsd_graph.models.weights import NEEDS_LOCAL
from rsd_graph.rewards.trained.format import Card

if TYPE_CHECKING:
    import numpy as np

SHIPPED = Path(__file__).with_name("embedded-draft.safetensors")
"""The embedded draft's own reward."""

_CARD = "rsd_reward"


@dataclass(frozen=True, slots=True)
class RewardFile:
    """The content of a reward file."""

    card: Card
    norm: "np.ndarray"
    """Scale of the final norm, shape (hidden size,)."""
    updates: "Mapping[str, tuple[np.ndarray, np.ndarray]]" = field(default_factory=dict)
    """Low-rank changes by weight, such as `layers.12.self_attn.q_proj`: shapes (rank, inputs) and (outputs, rank)."""

    @property
    def parameters(self) -> int:
        """How many numbers were trained."""
        return int(self.norm.size + sum(down.size + up.size for down, up in self.updates.values()))

    @property
    def identity(self) -> str:
        """SHA-256 of its card and its tensors: no two different rewards share it."""
        return hashlib.sha256((self.card.model_dump_json() + _digest(self._tensors())).encode()).hexdigest()

    def save(self, file: Path) -> None:
        """Write the file atomically."""
        from safetensors.numpy import save

        tensors = self._tensors()
        metadata = {_CARD: self.card.model_dump_json(), "sha256": _digest(tensors)}
        write_atomically(file, save(tensors, metadata))

    def _tensors(self) -> "dict[str, np.ndarray]":
        """Its tensors as the file stores them."""
        import numpy as np

        tensors = {"norm": self.norm.astype(np.float32)}
        for name, (down, up) in self.updates.items():
            tensors[f"{name}.down"] = np.ascontiguousarray(down, np.float16)
            tensors[f"{name}.up"] = np.ascontiguousarray(up, np.float16)
        return tensors


def load_reward(file: Path) -> RewardFile:
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
    return RewardFile(
        card, tensors["norm"], {name: (tensors[f"{name}.down"], tensors[f"{name}.up"]) for name in sorted(names)}
    )


def _digest(tensors: "Mapping[str, np.ndarray]") -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].tobytes())
    return digest.hexdigest()
