"""A model file of a few megabytes out of the tiny one: its first layers and its first tokens, bytes as they are.

What a language model can do is lost, but not the format, the tokenizer, the chat template, or what a layer computes.
Most of the time that a test spends on a model goes into reading its vocabulary, and into computing its layers.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, quants

LAYERS, TOKENS = 4, 2048
EMBEDDINGS = "token_embd.weight"


def write_small_model(base: Path, file: Path, *, says: Sequence[str] = ()) -> Path:
    """Cut the model.

    Args:
        base: A GGUF file of the Llama architecture whose output matrix is its embeddings.
        file: Where to write the small one.
        says: Two tokens: all that it says, one or the other; by default whatever comes of the cut.
    """
    reader = GGUFReader(base)
    writer = GGUFWriter(file, "llama")
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()[:TOKENS]
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":  # the writer's own
            continue
        kind = field.types[0]
        array = field.types[-1] if kind == GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, _cut(field.name, field.contents(), set(tokens)), kind, sub_type=array)
    for tensor in reader.tensors:
        if tensor.name.startswith("blk.") and int(tensor.name.split(".")[1]) >= LAYERS:
            continue
        data = tensor.data[:TOKENS] if tensor.name == EMBEDDINGS else tensor.data
        writer.add_tensor(tensor.name, data, raw_dtype=tensor.tensor_type)
        if tensor.name == EMBEDDINGS and says:
            one, other = map(tokens.index, says)
            writer.add_tensor("output.weight", _output(data, tensor.tensor_type, one, other))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _cut(name: str, value: object, known: set[str]) -> object:
    match name, value:
        case "llama.block_count", _:
            return LAYERS
        case "llama.vocab_size", _:
            return TOKENS
        case "tokenizer.ggml.merges", list():
            return [merge for merge in value if merge.replace(" ", "") in known]
        case _, list():
            return value[:TOKENS]
    return value


def _output(embeddings: np.ndarray, kind: GGMLQuantizationType, one: int, other: int) -> np.ndarray:
    """An output matrix of its own, by which one of two tokens is always the likeliest."""
    rows: np.ndarray = quants.dequantize(embeddings, kind).astype(np.float32) * 0.05
    rows[one] *= 100
    rows[other] = -rows[one]
    return rows
