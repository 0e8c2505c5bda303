"""The draft in plain transformers: its tokens, its hidden states, and its layers, to train and to export."""

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
"""Model types whose layers, final norm and logits are known here, in `rewards.trained.gguf` and in `export`."""


class Backbone:
    """A draft model, loaded in float32.

    Args:
        path: A GGUF file, whose weights are dequantised, or a folder with a Hugging Face checkpoint.

    Raises:
        WeightsError: it cannot be read, or its architecture is neither Llama's nor Qwen2's.
    """

    def __init__(self, path: Path) -> None:
        source = _source(path)
        logging.disable_progress_bar()  # the caller reports progress
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
        """Number of layers."""
        return len(self._layers)

    def parameters(self, layers: int) -> int:
        """Number of parameters of a model with so many of the layers, without the input embeddings, a lookup table."""
        kept = [*self._layers[:layers].parameters(), self._norm.weight, self.model.get_output_embeddings().weight]
        return sum(weight.numel() for weight in kept)

    @property
    def template(self) -> str:
        """Fingerprint of its chat template and tokenizer."""
        return fingerprint(self.prompt(SAMPLE))

    def prompt(self, problem: str) -> list[int]:
        """Token ids of the conversation that a solution of this problem answers."""
        turns = opening(SYSTEM_PROMPT, problem)
        tokens: list[int] = self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
        return tokens

    def encode(self, text: str) -> list[int]:
        """Token ids of a text that continues another."""
        tokens: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return tokens

    def direction(self) -> Tensor:
        """The label direction: the output matrix's row of Yes less that of No, shape (hidden size,)."""
        yes, no = (self.encode(label)[0] for label in LABELS)
        weight = self.model.get_output_embeddings().weight
        return weight[yes] - weight[no]

    def norm(self) -> nn.Module:
        """The final norm."""
        return self._norm

    def states(self, tokens: Sequence[int], layers: Sequence[int]) -> list[Tensor]:
        """Hidden states after each of these numbers of layers, before any norm, shape (tokens, hidden size) each."""
        self._use(0, max(layers), nn.Identity())
        kept: dict[int, Tensor] = {}

        def keep(layer: int, output: Any) -> None:
            kept[layer] = (output[0] if isinstance(output, tuple) else output)[0]

        # not `output_hidden_states`: transformers prepares for it once, with the layers that are in use at that time
        modules = [self._body.get_input_embeddings(), *self._layers]
        hooks = [
            modules[layer].register_forward_hook(lambda _module, _inputs, output, layer=layer: keep(layer, output))
            for layer in set(layers)
        ]
        try:
            with torch.inference_mode():
                self._body(input_ids=torch.tensor([list(tokens)]), use_cache=False)
        finally:
            for hook in hooks:
                hook.remove()
        return [kept[layer] for layer in layers]

    def top(self, first: int, last: int, states: Tensor, mask: Tensor) -> Tensor:
        """Run the layers from `first` to before `last` on hidden states from `states`.

        Args:
            first: How many layers the hidden states have gone through.
            last: How many layers they are to go through in all.
            states: Shape (batch, tokens, hidden size), padded on the right.
            mask: 1 where there is a token, shape (batch, tokens).

        Returns:
            Hidden states before the final norm, shape (batch, tokens, hidden size).
        """
        if first == last:
            return states
        self._use(first, last, nn.Identity())
        return self._body(inputs_embeds=states, attention_mask=mask, use_cache=False).last_hidden_state

    def linear(self, name: str) -> nn.Module:
        """One weight matrix's layer, by a name such as `layers.12.self_attn.q_proj`."""
        _, index, path = name.split(".", 2)
        return self._layers[int(index)].get_submodule(path)

    def replace(self, name: str, module: nn.Module) -> None:
        """Put another module in the place of this layer, whose name is as for `linear`."""
        _, index, parent, attribute = name.split(".")
        setattr(self._layers[int(index)].get_submodule(parent), attribute, module)

    def cut(self, layers: int) -> Any:
        """Keep the first layers alone, permanently, and return the model."""
        self._use(0, layers, self._norm)
        self.model.config.num_hidden_layers = layers
        if getattr(self.model.config, "layer_types", None):
            self.model.config.layer_types = self.model.config.layer_types[:layers]
        return self.model

    def _use(self, first: int, last: int, norm: nn.Module) -> None:
        self._body.layers = self._layers[first:last]
        self._body.norm = norm


def check_architecture(path: Path) -> None:
    """Refuse a model that cannot be trained, before any work is done. Only its configuration is read.

    Raises:
        WeightsError: it cannot be read, or its architecture is neither Llama's nor Qwen2's.
    """
    try:
        found = AutoConfig.from_pretrained(**_source(path)).model_type
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise WeightsError(f"cannot load the draft {path}: {error}") from error
    _require_known(path, found)


def identity(path: Path) -> str:
    """A hash that differs between models and between quantisations of one: `Base.sha256`.

    Raises:
        WeightsError: the folder holds no weights in the safetensors format.
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
    """The arguments that make transformers find the model."""
    if path.is_file():
        return {"pretrained_model_name_or_path": path.parent, "gguf_file": path.name}
    if not path.is_dir():  # a pipe, which may never end, or a name, which would be looked up on the hub
        raise WeightsError(f"cannot load the draft {path}: it is neither a regular file nor a folder")
    return {"pretrained_model_name_or_path": path}


def _dense(path: Path) -> dict[str, Any]:
    """The argument to dequantise a GGUF file's weights, for the versions of transformers that need one."""
    import transformers

    config = getattr(transformers, "GgufConfig", None) if path.is_file() else None
    return {} if config is None else {"quantization_config": config(dequantize=True)}
