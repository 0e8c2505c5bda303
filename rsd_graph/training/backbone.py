"""The draft in plain transformers: tokens, hidden states, and the part of it that is trained."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from rsd_graph.errors import WeightsError
from rsd_graph.models.weights import sha256_of
from rsd_graph.rewards.families.trained import LABELS, SAMPLE, SYSTEM_PROMPT, fingerprint, opening
from rsd_graph.rewards.trained.format import Base
from rsd_graph.rewards.trained.gguf import NAMES

PROJECTIONS = tuple(NAMES)
"""A layer's weight matrices."""
ARCHITECTURES = ("llama", "qwen2")
"""Model types whose layers, final norm and logits this module, `rewards.trained.gguf` and `export` know."""


class Backbone:
    """A draft model, loaded in float32.

    Args:
        path: A GGUF file, whose quantised weights are taken as they are, or a folder with a Hugging Face checkpoint.

    Raises:
        WeightsError: it cannot be read, or has another architecture than Llama's or Qwen2's.
    """

    def __init__(self, path: Path) -> None:
        source = _source(path)
        logging.disable_progress_bar()  # there is one already
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(**source)
            self.model: Any = AutoModelForCausalLM.from_pretrained(**source, **_dense(path), dtype=torch.float32)
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            raise WeightsError(f"cannot load the draft {path}: {error}") from error
        _require_known(path, self.model.config.model_type)
        self.model.eval().requires_grad_(requires_grad=False)
        body = self.model.get_decoder()
        self._body = body
        self._layers = body.layers
        self._norm = body.norm
        self.base = Base(name=path.name, sha256=identity(path))

    @property
    def depth(self) -> int:
        """Layers of the model."""
        return len(self._layers)

    def parameters(self, layers: int) -> int:
        """Number of parameters of a model with so many of the layers; input embeddings, a mere table, left out."""
        kept = [*self._layers[:layers].parameters(), self._norm.weight, self.model.get_output_embeddings().weight]
        return sum(weight.numel() for weight in kept)

    @property
    def template(self) -> str:
        """Fingerprint of its chat template and tokenizer."""
        return fingerprint(self.prompt(SAMPLE))

    def prompt(self, problem: str) -> list[int]:
        """Token ids of the conversation that a solution answers."""
        turns = opening(SYSTEM_PROMPT, problem)
        tokens: list[int] = self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
        return tokens

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, as a continuation."""
        tokens: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return tokens

    def direction(self) -> Tensor:
        """Difference of the two label tokens' rows of the output matrix, shape (hidden size,)."""
        yes, no = (self.encode(label)[0] for label in LABELS)
        weight = self.model.get_output_embeddings().weight
        return weight[yes] - weight[no]

    def norm(self) -> nn.Module:
        """The final norm."""
        return self._norm

    def states(self, tokens: Sequence[int], layers: Sequence[int]) -> list[Tensor]:
        """Hidden states behind each of these numbers of layers, before any norm, shape (tokens, hidden size) each."""
        self._use(0, max(layers), nn.Identity())
        with torch.inference_mode():
            found = self._body(input_ids=torch.tensor([list(tokens)]), use_cache=False, output_hidden_states=True)
        return [found.hidden_states[layer][0] for layer in layers]

    def top(self, first: int, last: int, states: Tensor, mask: Tensor) -> Tensor:
        """Run the layers from `first` to before `last` on hidden states that `states` gave.

        Args:
            first: Layers that the states have gone through.
            last: Layers to go through in all.
            states: Shape (batch, tokens, hidden size), padded on the right.
            mask: 1 where there is a token, shape (batch, tokens).

        Returns:
            Hidden states before the final norm, shape (batch, tokens, hidden size).
        """
        if first == last:
            return states
        self._use(first, last, nn.Identity())
        return self._body(inputs_embeds=states, attention_mask=mask, use_cache=False).last_hidden_state

    def weight(self, name: str) -> Tensor:
        """One weight matrix, such as `layers.12.self_attn.q_proj`."""
        _, index, path = name.split(".", 2)
        return self._layers[int(index)].get_submodule(path).weight

    def cut(self, layers: int) -> Any:
        """The model with its first layers alone, for good."""
        self._use(0, layers, self._norm)
        self.model.config.num_hidden_layers = layers
        if getattr(self.model.config, "layer_types", None):
            self.model.config.layer_types = self.model.config.layer_types[:layers]
        return self.model

    def adapt(self, first: int, last: int, rank: int) -> dict[str, "LowRank"]:
        """Put a low-rank change, as yet zero, on every weight of the layers from `first` to before `last`."""
        changes = {}
        for index in range(first, last):
            for name in PROJECTIONS:
                parent = self._layers[index].get_submodule(name.split(".")[0])
                change = LowRank(parent.get_submodule(name.split(".")[1]), rank)
                setattr(parent, name.split(".")[1], change)
                changes[f"layers.{index}.{name}"] = change
        return changes

    def _use(self, first: int, last: int, norm: nn.Module) -> None:
        self._body.layers = self._layers[first:last]
        self._body.norm = norm


class LowRank(nn.Module):
    """A frozen linear layer and a low-rank change of it: `W x + up (down x)` (LoRA, arXiv 2106.09685)."""

    def __init__(self, linear: nn.Module, rank: int) -> None:
        super().__init__()
        inputs, outputs = linear.in_features, linear.out_features
        self.linear = linear
        self.down = nn.Parameter(torch.randn(rank, inputs) / inputs**0.5)
        self.up = nn.Parameter(torch.zeros(outputs, rank))

    def forward(self, x: Tensor) -> Tensor:
        """Both together."""
        return self.linear(x) + x @ self.down.T @ self.up.T


def check_architecture(path: Path) -> None:
    """Refuse a model that cannot be trained, before any work is put into it; reads its configuration alone.

    Raises:
        WeightsError: it cannot be read, or has another architecture than Llama's or Qwen2's.
    """
    try:
        found = AutoConfig.from_pretrained(**_source(path)).model_type
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise WeightsError(f"cannot load the draft {path}: {error}") from error
    _require_known(path, found)


def identity(path: Path) -> str:
    """What tells a model from others and from other quantisations: `Base.sha256`.

    Raises:
        WeightsError: the folder holds no weights that could tell.
    """
    if path.is_file():
        return sha256_of(path)
    files = sorted(path.glob("*.safetensors"))
    if not files:
        raise WeightsError(f"the folder {path} holds no *.safetensors: save the model in that format")
    digest = hashlib.sha256()
    for file in files:
        digest.update(sha256_of(file).encode())
    return digest.hexdigest()


def _require_known(path: Path, architecture: str) -> None:
    if architecture not in ARCHITECTURES:
        raise WeightsError(
            f"{path} has the architecture {architecture!r}; {' and '.join(ARCHITECTURES)} can be trained"
        )


def _source(path: Path) -> dict[str, Any]:
    """The arguments by which transformers finds the model."""
    if path.is_file():
        return {"pretrained_model_name_or_path": path.parent, "gguf_file": path.name}
    if not path.is_dir():  # a pipe, which may never end, or a name, which would be looked up on the hub
        raise WeightsError(f"cannot load the draft {path}: it is neither a regular file nor a folder")
    return {"pretrained_model_name_or_path": path}


def _dense(path: Path) -> dict[str, Any]:
    """The argument that makes ordinary numbers of a GGUF file's weights, for versions of transformers that need it."""
    import transformers

    config = getattr(transformers, "GgufConfig", None) if path.is_file() else None
    return {} if config is None else {"quantization_config": config(dequantize=True)}
