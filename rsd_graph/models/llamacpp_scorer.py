"""Reward models in llama.cpp inside this process: those that answer by a label token's probability.

llama.cpp keeps the prefix of each problem in a slot, so that a step costs its own tokens. A model with a reward head is
out of its reach; `rewards.vllm` runs those.
"""

import math
from collections.abc import Sequence

from pydantic import BaseModel, Field

from rsd_graph._internal import background
from rsd_graph.errors import RewardError
from rsd_graph.models.http import ModelServer, RenderedChat
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp
from rsd_graph.models.token_cache import TokenCache
from rsd_graph.protocols import Reading, Turn
from rsd_graph.state import TokenUsage

LIFT = 1000.0
"""Added to the labels' logits, so that they alone are left in the distribution that llama.cpp reports."""


class _Tokens(BaseModel):
    tokens: list[int]


class _Candidate(BaseModel):
    id: int
    prob: float


class _Position(BaseModel):
    top_probs: list[_Candidate]


class _Timings(BaseModel):
    cache_n: int


class _Completion(BaseModel):
    tokens_evaluated: int
    timings: _Timings
    completion_probabilities: list[_Position] = Field(min_length=1)


class LlamaCppScorer:
    """Runs a reward model; see `protocols.ScoringBackend`.

    Args:
        model: The model. Nothing but rewards should be asked of it, or the slots' prefixes are lost.
    """

    def __init__(self, model: EmbeddedLlamaCpp) -> None:
        self._model = model
        self._server: ModelServer | None = None
        self._remembered = TokenCache(self._tokenize)

    @property
    def name(self) -> str:
        """What to call the model in messages."""
        return self._model.name

    async def start(self) -> None:
        """Load the weights now. Raises as `EmbeddedLlamaCpp.start` does."""
        await self._model.start()

    async def encode(self, text: str, *, special_tokens: bool = False) -> list[int]:
        """See `ScoringBackend.encode`."""
        return await background.call(self._encode(text, special_tokens))

    async def chat(self, turns: Sequence[Turn], *, generation_prompt: bool) -> list[int]:
        """See `ScoringBackend.chat`. llama.cpp renders every chat ready for an answer."""
        if not generation_prompt:
            raise RewardError(f"{self.name}: llama.cpp renders no closed conversation")
        return await background.call(self._chat(turns))

    async def head(self, tokens: Sequence[int]) -> Reading:  # noqa: ARG002  # of the protocol
        """Refused: llama.cpp has no reward heads."""
        raise RewardError(f"{self.name}: llama.cpp reads no reward head; use vLLM for this kind of reward model")

    async def labels(self, tokens: Sequence[int], labels: Sequence[int]) -> Reading:
        """Log-probability of each label token, among the labels."""
        return await background.call(self._labels(list(tokens), labels))

    async def aclose(self) -> None:
        """Stop the server and free its memory."""
        await background.call(self._aclose())

    async def _started(self) -> ModelServer:
        url = await self._model.url()
        if self._server is None:
            self._server = ModelServer(url)
        return self._server

    async def _encode(self, text: str, special_tokens: bool) -> list[int]:
        if special_tokens:  # a whole prompt, which does not come again
            return await self._tokenize(text, special_tokens=True)
        return await self._remembered.of(text)

    async def _tokenize(self, text: str, *, special_tokens: bool = False) -> list[int]:
        server = await self._started()
        body = {"content": text, "add_special": special_tokens, "parse_special": True}
        return (await server.post("/tokenize", body, _Tokens)).tokens

    async def _chat(self, turns: Sequence[Turn]) -> list[int]:
        server = await self._started()
        rendered = await server.post("/apply-template", {"messages": list(turns)}, RenderedChat)
        return await self._encode(rendered.prompt, special_tokens=False)

    async def _labels(self, tokens: list[int], labels: Sequence[int]) -> Reading:
        server = await self._started()
        body = {
            "prompt": tokens,
            "n_predict": 1,
            "logit_bias": [[label, LIFT] for label in labels],
            "temperature": 1.0,
            "samplers": ["temperature"],
            "n_probs": len(labels),
            "post_sampling_probs": True,
            "cache_prompt": True,
        }
        async with self._model.turn():
            answer = await server.post("/completion", body, _Completion)
        said = {each.id: each.prob for each in answer.completion_probabilities[0].top_probs}
        return Reading(
            # a probability below what llama.cpp can say is as good as the smallest that it can
            tuple(math.log(max(said.get(label, 0.0), 1e-30)) for label in labels),
            TokenUsage(prompt=answer.tokens_evaluated, cached=answer.timings.cache_n),
        )

    async def _aclose(self) -> None:
        if self._server is not None:
            await self._server.aclose()
            self._server = None
        await self._model.aclose()
