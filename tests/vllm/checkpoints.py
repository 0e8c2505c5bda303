"""Checkpoints to serve: the embedded draft's real weights as safetensors, and tiny random reward models.

The tiny ones have the real architectures, layouts of weights and step markers, and random numbers in them: they show
that two ways to compute a reward agree, not that the reward is any good.
"""

import json
import shutil
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GgufConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForSequenceClassification,
    Qwen2Model,
)

from rsd_graph.models.weights import DRAFT, TINY, Weights, cache_directory, locate
from rsd_graph.rewards.trained.file import SHIPPED, load_reward
from rsd_graph.training.export import export

SMALL = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,  # of 64 numbers each: vLLM's CPU kernels take no 16
    "num_key_value_heads": 1,
    "max_position_embeddings": 16384,
    "initializer_range": 0.2,  # ten times the usual, so that rewards differ
}
LLAMA3_TEMPLATE = (
    "{{- bos_token }}{%- for m in messages %}{{- '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' "
    "+ m['content'] | trim + '<|eot_id|>' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"
)
"""The layout of Llama 3's turns."""


def checkpoint(name: str) -> Path:
    """The folder of a checkpoint, made once and kept in the cache."""
    folder = cache_directory() / "checkpoints" / name
    if not folder.exists():
        unfinished = folder.with_name(f"{name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        torch.manual_seed(0)
        MAKERS[name](unfinished)
        unfinished.rename(folder)
    return folder


def _dequantised(weights: Weights) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        file = locate(weights)
        source: dict[str, Any] = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
        dense = GgufConfig(dequantize=True)
        model = AutoModelForCausalLM.from_pretrained(**source, quantization_config=dense, dtype=torch.bfloat16)
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(**source).save_pretrained(folder)

    return make


def _trained(folder: Path) -> None:
    export(load_reward(SHIPPED), locate(DRAFT), folder)


def _qwen_tokenizer(folder: Path) -> int:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint("draft"))
    tokenizer.save_pretrained(folder)
    return len(tokenizer)


def _with_head(folder: Path, vocabulary: int, architecture: str, head: dict[str, torch.Tensor]) -> None:
    """A random Qwen2 backbone with a reward head beside it, as the checkpoints on the hub have it."""
    model = Qwen2Model(Qwen2Config(vocab_size=vocabulary, **SMALL))
    model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text()) | {"architectures": [architecture]}
    (folder / "config.json").write_text(json.dumps(config))
    backbone = {f"model.{key}": value.contiguous() for key, value in model.state_dict().items()}
    save_file(backbone | head, folder / "model.safetensors", metadata={"format": "pt"})


def _skywork(folder: Path) -> None:
    width = SMALL["hidden_size"]
    head = {"v_head.summary.weight": torch.randn(1, width) / 4, "v_head.summary.bias": torch.randn(1)}
    _with_head(folder, _qwen_tokenizer(folder), "Qwen2ForPrmModel", head)


def _qwen_prm(folder: Path) -> None:
    width = int(SMALL["hidden_size"])
    head = {
        "score.0.weight": torch.randn(width, width) / 8,
        "score.0.bias": torch.randn(width),
        "score.2.weight": torch.randn(2, width) / 4,
        "score.2.bias": torch.randn(2),
    }
    vocabulary = _qwen_tokenizer(folder)
    for file in folder.glob("tokenizer*.json"):  # vLLM looks for the marker where the authors' tokenizer has it: 151651
        file.write_text(file.read_text().replace("<|quad_end|>", "<extra_0>"))
    _with_head(folder, vocabulary, "Qwen2ForProcessRewardModel", head)


def _outcome(folder: Path) -> None:
    vocabulary = _qwen_tokenizer(folder)
    config = Qwen2Config(vocab_size=vocabulary, num_labels=1, pad_token_id=151643, **SMALL)
    Qwen2ForSequenceClassification(config).save_pretrained(folder)


def _math_shepherd(folder: Path) -> None:
    # Mistral 7B's own tokenizer, which vLLM's requirements bring along
    (folder / "tokenizer.model").write_bytes((files("mistral_common") / "data" / "tokenizer.model.v1").read_bytes())
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"})
    )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    _begin_with(tokenizer, "<s>")
    tokenizer.save_pretrained(folder)
    MistralForCausalLM(MistralConfig(vocab_size=32000, **SMALL)).save_pretrained(folder)


def _begin_with(tokenizer: Any, bos: str) -> None:
    """Have the tokenizer put this token before every text, as those of Llama and Mistral do."""
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, tokenizer.convert_tokens_to_ids(bos))]
    )


def _rlhflow(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint("draft"))
    bos = "<|begin_of_text|>"
    tokenizer.add_special_tokens(
        {
            "bos_token": bos,
            "eos_token": "<|eot_id|>",
            "additional_special_tokens": ["<|start_header_id|>", "<|end_header_id|>"],
        }
    )
    _begin_with(tokenizer, bos)
    tokenizer.chat_template = LLAMA3_TEMPLATE
    tokenizer.save_pretrained(folder)
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **SMALL)).save_pretrained(folder)


MAKERS: dict[str, Callable[[Path], None]] = {
    "draft": _dequantised(DRAFT),
    "smollm2": _dequantised(TINY),
    "skywork": _skywork,
    "qwen-prm": _qwen_prm,
    "math-shepherd": _math_shepherd,
    "rlhflow": _rlhflow,
    "outcome": _outcome,
    "trained": _trained,
}
