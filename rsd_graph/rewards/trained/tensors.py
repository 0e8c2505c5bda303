"""The tensors of a reward file: what each is called and shaped, checked before anything reads their numbers.

A reward file may be anybody's. What it says is compared first with itself, here, and then with the base model that it
changes (`require_fit`), before a number of it reaches llama.cpp, torch or the cache.
"""

import json
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rsd_graph.errors import RewardError
from rsd_graph.rewards.trained.format import Card

if TYPE_CHECKING:
    import numpy as np

LONGEST_HEADER = 1 << 20
"""Bytes of the part that names the tensors and holds the card; a few kilobytes are usual."""
NORM = "norm"
LARGEST_SCALE = 1e6
"""Of the final norm: beyond it, logits could overflow."""
PROJECTIONS = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
)
"""A layer's weight matrices, by Hugging Face's names."""

_NAME = re.compile(rf"(layers\.(0|[1-9]\d{{0,8}})\.({'|'.join(map(re.escape, PROJECTIONS))}))\.(down|up)", re.ASCII)
_LENGTH = struct.Struct("<Q")

Updates = Mapping[str, "tuple[np.ndarray, np.ndarray]"]
ShapeOf = Callable[[str], "Sequence[int] | None"]
"""The shape (outputs, inputs) of a weight of the base, such as `layers.3.mlp.up_proj`; None where there is none."""


def read_header(content: bytes) -> dict[str, Any]:
    """The header of a safetensors file: each tensor's entry, and the metadata under `__metadata__`.

    Raises:
        ValueError: it is none, or is not that of a reward file.
    """
    if len(content) < _LENGTH.size:
        raise ValueError("it is cut")
    (length,) = _LENGTH.unpack_from(content)
    if length > LONGEST_HEADER:
        raise ValueError(f"its header is said to have {length} bytes, and {LONGEST_HEADER} are allowed")
    try:
        header = json.loads(content[_LENGTH.size : _LENGTH.size + length], object_pairs_hook=_without_repeats)
    except RecursionError as error:
        raise ValueError("its header is nested too deeply") from error
    if not isinstance(header, dict):
        raise ValueError("its header is not an object")
    return header


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"its header names {next(name for name in names if names.count(name) > 1)!r:.80} twice")
    return found


def check_names(header: Mapping[str, Any]) -> None:
    """Refuse tensors that no reward has, and numbers of another kind.

    Raises:
        ValueError: names the tensor.
    """
    names = {name for name in header if name != "__metadata__"}
    if NORM not in names:
        raise ValueError(f"the tensor {NORM!r} is missing")
    for name in sorted(names):
        match = _NAME.fullmatch(name)
        if name != NORM and match is None:
            raise ValueError(f"the tensor {name!r:.80} is none of a reward's")
        if match and f"{match[1]}.{'up' if match[4] == 'down' else 'down'}" not in names:
            raise ValueError(f"the tensor {match[1]}.{'up' if match[4] == 'down' else 'down'} is missing")
        kind = header[name].get("dtype") if isinstance(header[name], dict) else None
        wanted = "F32" if name == NORM else "F16"
        if kind != wanted:
            raise ValueError(f"the tensor {name} has the type {kind!r:.20}, and {wanted} is read")


def check_tensors(card: Card, norm: "np.ndarray", updates: Updates) -> None:
    """Refuse tensors that do not fit each other or their card.

    Raises:
        ValueError: names the tensor.
    """
    import numpy as np

    if norm.ndim != 1 or not norm.size:
        raise ValueError(f"the tensor {NORM} has the shape {norm.shape}, and (hidden size,) is needed")
    if not np.isfinite(norm).all() or np.abs(norm).max() > LARGEST_SCALE:
        raise ValueError(f"the tensor {NORM} holds a number that is not finite, or too large")
    if bool(updates) != (card.family == "lora"):
        raise ValueError(f"it has {len(updates)} changes of weights, and its family is {card.family!r}")
    for name, (down, up) in updates.items():
        if int(name.split(".")[1]) >= card.layers:
            raise ValueError(f"it changes {name}, and keeps {card.layers} layers")
        for tensor, its_name in ((down, f"{name}.down"), (up, f"{name}.up")):
            if tensor.ndim != 2 or not tensor.size:  # noqa: PLR2004  # a matrix
                raise ValueError(f"the tensor {its_name} has the shape {tensor.shape}, and a matrix is needed")
            if not np.isfinite(tensor).all():
                raise ValueError(f"the tensor {its_name} holds a number that is not finite")
        rank = down.shape[0]
        if up.shape[1] != rank or card.rank not in (0, rank):  # 0: the card does not say
            raise ValueError(
                f"the tensors of {name} have the shapes {down.shape} and {up.shape}, and its card the rank {card.rank}"
            )


def require_fit(card: Card, norm: "np.ndarray", updates: Updates, depth: int, shape_of: ShapeOf, hidden: int) -> None:
    """Refuse a reward that does not fit its base model.

    Args:
        card: Of the reward.
        norm: Of the reward.
        updates: Of the reward.
        depth: Layers of the base.
        shape_of: The shapes of its weights.
        hidden: Its hidden size.

    Raises:
        RewardError: says what does not fit.
    """
    if card.layers > depth:
        raise RewardError(f"the reward keeps {card.layers} layers, and {card.base.name!r:.80} has {depth}")
    if norm.shape != (hidden,):
        raise RewardError(f"the reward's norm has the shape {norm.shape}, and the base's hidden size is {hidden}")
    for name, (down, up) in updates.items():
        found = shape_of(name)
        if found is None:
            raise RewardError(f"the reward changes {name}, which {card.base.name!r:.80} does not have")
        if (up.shape[0], down.shape[1]) != tuple(found):
            raise RewardError(
                f"the reward changes {name} with the shapes {up.shape} and {down.shape}, and the base's is "
                f"{tuple(found)}"
            )
        if down.shape[0] > min(found):
            raise RewardError(f"the reward's rank {down.shape[0]} is larger than {name}, which is {tuple(found)}")
