"""Merge a reward file into a GGUF file of its base model's first layers, for llama.cpp."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsd_graph._internal.files import atomic_path
from rsd_graph._internal.progress import Progress
from rsd_graph.errors import RewardError, WeightsError
from rsd_graph.models.llamacpp import check_gguf
from rsd_graph.models.weights import NEEDS_LOCAL, cache_directory
from rsd_graph.rewards.trained.file import RewardFile
from rsd_graph.rewards.trained.tensors import PROJECTIONS, require_fit

if TYPE_CHECKING:
    import numpy as np

NAMES = dict(
    zip(PROJECTIONS, ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"), strict=True)
)
"""llama.cpp's names of a layer's weights, by Hugging Face's."""

ARCHITECTURES = ("llama", "qwen2")
"""Those whose layers this module knows."""

_FINAL_NORM = "output_norm.weight"
LARGEST_WEIGHT = 127 * 65504.0
"""That the format of a changed weight can hold: eight bits, and a scale in half precision."""
_BLOCK = 32
"""Weights that share a scale in the format of a changed weight."""
_UNREADABLE = (
    *(ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, NotImplementedError),
    *(MemoryError, AssertionError, struct.error),
)
"""What reading a damaged GGUF file raises."""


def merge(reward: RewardFile, base: Path, base_sha256: str, progress: Progress | None = None) -> Path:
    """The path of the merged file, which is written once and kept in the cache.

    Args:
        reward: The reward.
        base: The model it was trained on, as a GGUF file.
        base_sha256: Of that file.
        progress: Told about the work.

    Raises:
        RewardError: the reward was trained on another model, or another quantisation of it, or does not fit it.
        WeightsError: the base cannot be read, or the cache not written.
    """
    require_base(reward, base.name, base_sha256)
    check_gguf(base)
    file = cache_directory() / "rewards" / f"{reward.identity[:32]}.gguf"
    if file.is_file():
        return file
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(file) as unfinished:
            _write(reward, base, unfinished, progress)
    except OSError as error:
        raise WeightsError(
            f"cannot write the merged reward {file}: {error.strerror or error}; choose another folder with RSD_CACHE"
        ) from error
    return file


def require_base(reward: RewardFile, name: str, sha256: str) -> None:
    """Refuse a base model that the reward was not trained on.

    Raises:
        RewardError: says which one it was trained on.
    """
    trained_on = reward.card.base
    if trained_on.sha256 != sha256:
        raise RewardError(
            f"the reward was trained on {trained_on.name!r:.100} (SHA-256 {trained_on.sha256[:12]}…), and {name} is "
            f"another model or another quantisation of it (SHA-256 {sha256[:12]}…): train one for it with "
            "`rsd train-reward`"
        )


def _write(reward: RewardFile, base: Path, out: Path, progress: Progress | None) -> None:
    try:
        from gguf import GGUFReader, GGUFWriter
    except ImportError as error:
        raise WeightsError(NEEDS_LOCAL) from error
    try:
        reader = GGUFReader(base)
        architecture = _require_fit(reward, reader)
        _merge(reward, reader, architecture, GGUFWriter(out, architecture), progress)
    except _UNREADABLE as error:
        raise WeightsError(f"cannot merge the reward into {base}: {type(error).__name__}: {error!s:.200}") from error


def _require_fit(reward: RewardFile, reader: Any) -> str:
    """Compare the reward with the base, before anything is written; returns the base's architecture.

    Raises:
        RewardError: it does not fit.
    """
    architecture = reader.fields["general.architecture"].contents()
    if architecture not in ARCHITECTURES:
        raise WeightsError(
            f"the base has the architecture {architecture!r:.40}; rewards are for {' and '.join(ARCHITECTURES)}"
        )
    depth = int(reader.fields[f"{architecture}.block_count"].contents())
    shapes = {tensor.name: tuple(int(size) for size in reversed(tensor.shape)) for tensor in reader.tensors}
    require_fit(
        reward.card,
        reward.norm,
        reward.updates,
        min(depth, 1 + max(map(_layer, shapes))),
        lambda name: shapes.get(_weight(name)),
        shapes[_FINAL_NORM][0],
    )
    for name in reward.updates:
        if shapes[_weight(name)][1] % _BLOCK:
            raise RewardError(f"the reward changes {name}, whose rows are no multiple of {_BLOCK} long")
    return str(architecture)


def _weight(name: str) -> str:
    """llama.cpp's name of a weight that a reward changes, such as `layers.12.self_attn.q_proj`."""
    _, layer, projection = name.split(".", 2)
    return f"blk.{layer}.{NAMES[projection]}.weight"


def _merge(reward: RewardFile, reader: Any, architecture: str, writer: Any, progress: Progress | None) -> None:
    _copy_metadata(reader, writer, architecture, reward.card.layers)
    kept = [tensor for tensor in reader.tensors if _layer(tensor.name) < reward.card.layers]
    updates = {_weight(name): pair for name, pair in reward.updates.items()}
    swap = _rotary_order(reader, architecture)
    for index, tensor in enumerate(kept):
        _add(writer, tensor, reward.norm, updates.get(tensor.name), swap)
        if progress:
            progress("merging the reward", index + 1, len(kept))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _layer(name: str) -> int:
    return int(name.split(".")[1]) if name.startswith("blk.") else -1


def _copy_metadata(reader: Any, writer: Any, architecture: str, layers: int) -> None:
    from gguf import GGUFValueType

    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":  # the writer's own
            continue
        value = layers if field.name == f"{architecture}.block_count" else field.contents()
        kind = field.types[0]
        writer.add_key_value(field.name, value, kind, sub_type=field.types[-1] if kind == GGUFValueType.ARRAY else None)


def _add(
    writer: Any,
    tensor: Any,
    norm: "np.ndarray",
    update: "tuple[np.ndarray, np.ndarray] | None",
    swap: "Callable[[str, np.ndarray], np.ndarray]",
) -> None:
    """Copy a tensor unchanged; one that the reward changes is written with 8 bits per weight."""
    import numpy as np
    from gguf import GGMLQuantizationType, quants

    if tensor.name == _FINAL_NORM:
        writer.add_tensor(tensor.name, norm.astype(np.float32))
    elif update is None:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    else:
        down, up = (factor.astype(np.float32) for factor in update)
        weight = quants.dequantize(tensor.data, tensor.tensor_type) + swap(tensor.name, up @ down)
        if not np.abs(weight).max() <= LARGEST_WEIGHT:  # NaN neither
            raise RewardError(f"the reward changes {tensor.name} by numbers that are too large")
        eight = GGMLQuantizationType.Q8_0
        writer.add_tensor(tensor.name, quants.quantize(weight, eight), raw_dtype=eight)


def _rotary_order(reader: Any, architecture: str) -> "Callable[[str, np.ndarray], np.ndarray]":
    """How to reorder rows: GGUF files of the Llama architecture store those of q and k by pairs instead of halves."""

    def reorder(name: str, rows: "np.ndarray") -> "np.ndarray":
        count = {"attn_q": "head_count", "attn_k": "head_count_kv"}.get(name.split(".")[2])
        if architecture != "llama" or count is None:
            return rows
        heads = int(reader.fields[f"llama.attention.{count}"].contents())
        return rows.reshape(heads, 2, -1, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)

    return reorder
