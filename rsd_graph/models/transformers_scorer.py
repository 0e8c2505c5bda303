"""Reward models in this process, in plain `transformers`: the reference, and a way to score without a server.

Every prompt is computed from its beginning. `models.vllm_scorer` gives the same rewards at the cost of the newest step
only; use it for more than a few problems. Needs the extra `transformers`.
"""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rsd_graph._internal.background import PerProcess, in_thread
from rsd_graph.errors import ConfigurationError, ModelError, RewardError, WeightsError
from rsd_graph.models.context import require_room
from rsd_graph.protocols import Reading, Turn
from rsd_graph.state import TokenUsage

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")

NEEDS_TRANSFORMERS = (
    "reward models in this process need the extra `transformers`: run `pip install 'rsd-graph[transformers]'`"
)


class TransformersScorer:
    """Runs a reward model in this process; see `protocols.ScoringBackend`.

    Args:
        model: A folder with a Hugging Face checkpoint (safetensors), or a name on the hub.
        head: Linear layers of the checkpoint's reward head, in order, with a ReLU between two (`Family.head`); by
            default a sequence classifier's. Unused for a language model.
        revision: On the hub.
        device: For example `cuda:0` or `cpu`.
        dtype: For example `bfloat16` or `float32`; by default the checkpoint's.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        head: Sequence[str] = ("score",),
        revision: str | None = None,
        device: str = "cpu",
        dtype: str = "auto",
    ) -> None:
        self.name = str(model)
        self._head = tuple(head)
        self._revision = revision
        self._device = device
        self._dtype = dtype
        self._checkpoint: Checkpoint | None = None
        # one prompt at a time: others would only compete for the device
        self._turn = PerProcess(threading.Lock)

    async def start(self) -> None:
        """Load the model now rather than at the first step.

        Raises:
            WeightsError: it cannot be found or read.
            ConfigurationError: transformers is not installed.
        """
        await self._with(lambda _: None)

    async def encode(self, text: str, *, special_tokens: bool = False) -> list[int]:
        """See `ScoringBackend.encode`."""
        return await self._with(lambda it: it.encode(text, special_tokens))

    async def chat(self, turns: Sequence[Turn], *, generation_prompt: bool) -> list[int]:
        """See `ScoringBackend.chat`."""
        return await self._with(lambda it: it.chat(turns, generation_prompt))

    async def head(self, tokens: Sequence[int]) -> Reading:
        """See `ScoringBackend.head`."""
        return await self._with(lambda it: Reading(it.head(tokens), TokenUsage(prompt=len(tokens))))

    async def label_logprobs(self, tokens: Sequence[int], labels: Sequence[int]) -> Reading:
        """See `ScoringBackend.label_logprobs`."""
        return await self._with(lambda it: Reading(it.label_logprobs(tokens, labels), TokenUsage(prompt=len(tokens))))

    async def aclose(self) -> None:
        """Free the model's memory."""
        self._checkpoint = None

    async def _with(self, work: "Callable[[Checkpoint], T]") -> T:
        if self._turn.foreign:  # torch's threads stay with the parent
            raise ModelError(
                f"{self.name} cannot run in a forked process: torch was used before the fork. Start processes with "
                'the method "spawn" or "forkserver"'
            )
        turn = self._turn.get()

        def in_turn() -> T:
            with turn:
                if self._checkpoint is None:
                    self._checkpoint = Checkpoint(self.name, self._head, self._revision, self._device, self._dtype)
                return work(self._checkpoint)

        return await in_thread(in_turn)


class Checkpoint:
    """A reward model's backbone, head and tokenizer, loaded. Arguments as for `TransformersScorer`.

    Raises:
        WeightsError: it cannot be found or read.
        ConfigurationError: transformers is not installed.
    """

    def __init__(self, model: str, head: Sequence[str], revision: str | None, device: str, dtype: str) -> None:
        try:
            from safetensors import SafetensorError
            from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer
        except ImportError as error:
            raise ConfigurationError(NEEDS_TRANSFORMERS) from error
        self._name = model
        try:
            folder = Path(model) if Path(model).is_dir() else _download(model, revision)
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
            config = AutoConfig.from_pretrained(folder)
            architecture = (config.architectures or ["?"])[0]
            self._generative = architecture.endswith("ForCausalLM")
            loader = AutoModelForCausalLM if self._generative else AutoModel
            self._model: Any = loader.from_pretrained(folder, dtype=dtype).to(device).eval()
            self._head: list[tuple[Tensor, Tensor | None]] = (
                [] if self._generative else _head(folder, head, self._model)
            )
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise WeightsError(f"cannot load the reward model {model}: {error}") from error
        self._context: int = config.max_position_embeddings

    def encode(self, text: str, special_tokens: bool) -> list[int]:
        """See `ScoringBackend.encode`."""
        tokens: list[int] = self._tokenizer.encode(text, add_special_tokens=special_tokens)
        return tokens

    def chat(self, turns: Sequence[Turn], generation_prompt: bool) -> list[int]:
        """See `ScoringBackend.chat`."""
        tokens: list[int] = self._tokenizer.apply_chat_template(
            list(turns), add_generation_prompt=generation_prompt, return_dict=False
        )
        return tokens

    def head(self, tokens: Sequence[int]) -> tuple[float, ...]:
        """Logits of the reward head at the last token."""
        import torch

        if not self._head:
            raise RewardError(f"{self._name} has no reward head: it is a language model")
        with torch.inference_mode():
            x = self._model(self._batch(tokens)).last_hidden_state[0, -1]
            for index, (weight, bias) in enumerate(self._head):
                x = torch.nn.functional.linear(x.relu() if index else x, weight, bias)
        return tuple(x.float().tolist())

    def label_logprobs(self, tokens: Sequence[int], labels: Sequence[int]) -> tuple[float, ...]:
        """Log-probability of each label as the next token."""
        import torch

        if not self._generative:
            raise RewardError(f"{self._name} is not a language model: it predicts no next token")
        with torch.inference_mode():
            logits = self._model(self._batch(tokens), logits_to_keep=1).logits[0, -1]
            return tuple(logits.float().log_softmax(-1)[list(labels)].tolist())

    def _batch(self, tokens: Sequence[int]) -> "Tensor":
        import torch

        require_room(self._name, len(tokens), self._context, answer=0)
        return torch.tensor([list(tokens)], device=self._model.device)


def _download(model: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(model, revision=revision, allow_patterns=["*.json", "*.safetensors", "*.model"]))


def _head(folder: Path, layers: Sequence[str], backbone: Any) -> "list[tuple[Tensor, Tensor | None]]":
    """Weight and bias of each layer of the head, read directly from the checkpoint."""
    from safetensors import safe_open

    wanted = {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}
    found: dict[str, Tensor] = {}
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="pt") as tensors:
            for key in wanted & set(tensors.keys()):
                found[key] = tensors.get_tensor(key).to(backbone.device, backbone.dtype)
    return [(found[f"{layer}.weight"], found.get(f"{layer}.bias")) for layer in layers]
