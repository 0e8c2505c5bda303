"""Reward models in llama.cpp inside this process: those that answer by a label token's probability.

llama.cpp keeps the prefix of each problem in a slot, so a step costs only its own tokens. It cannot run a model with a
reward head; `models.vllm_scorer` can.
"""

import math
from collections.abc import Sequence

from pydantic import BaseModel, Field

from rsd_graph._internal.background import PerProcess, on_background_loop
from rsd_graph.errors import RewardError
from rsd_graph.models.chats import AcceptedChats, Chat
from rsd_graph.models.http import ModelServer, RenderedChat, TokenIds
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp, Timings
from rsd_graph.models.token_cache import TokenCache
from rsd_graph.protocols import Reading, Turn
from rsd_graph.state import TokenUsage

LIFT = 1000.0
"""Added to the labels' logits, so that they alone remain in the distribution that llama.cpp reports."""

SMALLEST = 1e-30
"""Stands for a probability that llama.cpp reports as 0: its logarithm is finite."""


ROUNDING = 1e-5
"""A probability this far above 1 is rounding."""


class _Candidate(BaseModel):
    id: int
    prob: float


class _Position(BaseModel):
    top_probs: list[_Candidate]


class _Completion(BaseModel):
    tokens_evaluated: int
    timings: Timings
    completion_probabilities: list[_Position] = Field(min_length=1)


class LlamaCppScorer:
    """Runs a reward model; see `protocols.ScoringBackend`.

    Args:
        model: The model. Use it for nothing but rewards, or the prefixes in its slots are lost.
    """

    runs_on_background_loop = True
    """All its methods do their work there, whoever calls them."""

    def __init__(self, model: EmbeddedLlamaCpp) -> None:
        self._model = model
        self._servers: PerProcess[dict[str, ModelServer]] = PerProcess(dict)
        self._chats = AcceptedChats()
        self._tokens = TokenCache(self._tokenize)

    @property
    def name(self) -> str:
        """What to call the model in messages."""
        return self._model.name

    async def start(self) -> None:
        """Load the weights now. Raises as `EmbeddedLlamaCpp.start` does."""
        await self._model.start()

    @on_background_loop
    async def aclose(self) -> None:
        """Stop the server and free its memory."""
        for server in (self._servers.drop() or {}).values():
            await server.aclose()
        await self._model.aclose()

    @on_background_loop
    async def encode(self, text: str, *, special_tokens: bool = False) -> list[int]:
        """See `ScoringBackend.encode`."""
        return await self._tokens.encode(text, special_tokens=special_tokens)

    @on_background_loop
    async def chat(self, turns: Sequence[Turn], *, generation_prompt: bool) -> list[int]:
        """See `ScoringBackend.chat`. llama.cpp renders every chat ready for an answer."""
        if not generation_prompt:
            raise RewardError(f"{self.name}: llama.cpp cannot render a conversation without a prompt for the answer")
        server = await self._started()

        async def render(chat: Chat) -> RenderedChat:
            return await server.post("/apply-template", {"messages": list(chat)}, RenderedChat)

        rendered = await self._chats.render([dict(turn) for turn in turns], render)
        return await self._tokens.encode(rendered.prompt)

    async def head(self, tokens: Sequence[int]) -> Reading:  # noqa: ARG002  # of the protocol
        """Refused: llama.cpp has no reward heads."""
        raise RewardError(f"{self.name}: llama.cpp has no reward heads; use vLLM for this kind of reward model")

    @on_background_loop
    async def label_logprobs(self, tokens: Sequence[int], labels: Sequence[int]) -> Reading:
        """Log-probability of each label token, among the labels."""
        server = await self._started()
        body = {
            "prompt": list(tokens),
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
        for label in labels:
            if not 0 <= said.get(label, 0.0) <= 1 + ROUNDING:  # NaN fails this too
                raise RewardError(f"{self.name} gave the probability {said[label]!r}, expected a number in [0, 1]")
        return Reading(
            tuple(math.log(min(max(said.get(label, 0.0), SMALLEST), 1.0)) for label in labels),
            TokenUsage(prompt=answer.tokens_evaluated, cached=answer.timings.cache_n),
        )

    async def _started(self) -> ModelServer:
        url = await self._model.url()
        servers = self._servers.get()
        if url not in servers:
            servers[url] = ModelServer(url)
        return servers[url]

    async def _tokenize(self, text: str, *, special_tokens: bool = False) -> list[int]:
        server = await self._started()
        body = {"content": text, "add_special": special_tokens, "parse_special": True}
        return (await server.post("/tokenize", body, TokenIds)).tokens
