"""Reward files: read and written."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from rsd_graph._internal.files import read_regular, write_atomically
from rsd_graph.errors import ChecksumError, WeightsError, describe
from rsd_graph.models.weights import NEEDS_LOCAL
from rsd_graph.rewards.trained.format import Card
from rsd_graph.rewards.trained.tensors import NORM, check_names, check_tensors, read_header

if TYPE_CHECKING:
    import numpy as np

SHIPPED = Path(__file__).with_name("embedded-draft.safetensors")
"""The embedded draft's own reward."""

LARGEST = 1 << 30
"""Bytes of a reward file; a few megabytes are usual."""

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
        """SHA-256 of its card and of its tensors' names, shapes and numbers: no two different rewards share it."""
        digest = hashlib.sha256(self.card.model_dump_json().encode())
        for name, tensor in sorted(self._tensors().items()):
            digest.update(json.dumps([name, str(tensor.dtype), tensor.shape]).encode() + tensor.tobytes())
        return digest.hexdigest()

    def save(self, file: Path) -> None:
        """Write the file atomically."""
        from safetensors.numpy import save

        tensors = self._tensors()
        metadata = {_CARD: self.card.model_dump_json(), "sha256": _digest(tensors)}
        write_atomically(file, save(tensors, metadata))

    def _tensors(self) -> "dict[str, np.ndarray]":
        """Its tensors as the file stores them."""
        import numpy as np

        tensors = {NORM: self.norm.astype(np.float32)}
        for name, (down, up) in self.updates.items():
            tensors[f"{name}.down"] = np.ascontiguousarray(down, np.float16)
            tensors[f"{name}.up"] = np.ascontiguousarray(up, np.float16)
        return tensors


def load_reward(file: Path) -> RewardFile:
    """Read a reward file, which may be anybody's.

    Raises:
        WeightsError: it is not there, is no reward file of this version, or holds what no reward has.
        ChecksumError: its numbers are not those that were written.
    """
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load
    except ImportError as error:
        raise WeightsError(NEEDS_LOCAL) from error
    try:
        content = read_regular(file, LARGEST)
        header = read_header(content)
        card = _card(file, header)
        check_names(header)
        tensors = load(content)
    except OSError as error:
        raise WeightsError(f"cannot read the reward file {file}: {error.strerror or error}") from error
    except (SafetensorError, ValueError) as error:
        raise WeightsError(f"the reward file {file} is damaged: {error}") from error
    if header["__metadata__"].get("sha256") != _digest(tensors):
        raise ChecksumError(f"the reward file {file} is damaged: its numbers are not those that were written")
    names = sorted(name.removesuffix(".down") for name in tensors if name.endswith(".down"))
    reward = RewardFile(card, tensors[NORM], {name: (tensors[f"{name}.down"], tensors[f"{name}.up"]) for name in names})
    try:
        check_tensors(card, reward.norm, reward.updates)
    except ValueError as error:
        raise WeightsError(f"the reward file {file} cannot be used: {error}") from error
    return reward


def _card(file: Path, header: "Mapping[str, Any]") -> Card:
    metadata = header.get("__metadata__")
    written = metadata.get(_CARD) if isinstance(metadata, dict) else None
    if not isinstance(written, str):
        raise WeightsError(f"{file} is no reward file; `rsd train-reward` writes them")
    try:
        return Card.model_validate_json(written)
    except ValidationError as error:
        if any(problem["loc"] == ("format",) for problem in error.errors()):
            raise WeightsError(f"{file} is a reward file of another version: {describe(error)}") from error
        raise WeightsError(f"the card of the reward file {file} is wrong: {describe(error)}") from error


def _digest(tensors: "Mapping[str, np.ndarray]") -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].tobytes())
    return digest.hexdigest()
