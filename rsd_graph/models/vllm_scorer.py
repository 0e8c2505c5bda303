"""Reward models on a vLLM server.

Prompts are sent as token ids, so that the server scores exactly what the family composed. `vllm serve` returns the
reward head's output at the last token from `/classify`, which uses the prefix cache. A model that vLLM serves only for
token-wise pooling answers at `/pooling`, and encodes the whole prompt each time.
https://docs.vllm.ai/en/latest/models/pooling_models.html
"""

from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field

from rsd_graph.errors import ContextOverflowError, ModelResponseError, ModelUnavailableError, RewardError
from rsd_graph.models.context import require_room
from rsd_graph.models.http import ModelCard, ModelServer
from rsd_graph.models.prompts import digest
from rsd_graph.models.retries import RetryPolicy
from rsd_graph.models.seams import Seams
from rsd_graph.models.shared import Shared
from rsd_graph.models.token_cache import TokenCache
from rsd_graph.models.vllm import ServedModel, TokensUsed
from rsd_graph.protocols import Reading, Turn

CHATS_KEPT = 1024
"""Chats whose token ids are kept: the beginning that all steps of a solution share."""
BYTES_PER_TOKEN = 2
"""Text has more bytes a token than this, unless it is very odd; then the server refuses what is too long."""


class _Classified(BaseModel):
    probs: list[float]


class _Classification(BaseModel):
    data: list[_Classified] = Field(min_length=1)
    usage: TokensUsed


class _Pooled(BaseModel):
    data: list[list[float]]


class _Pooling(BaseModel):
    data: list[_Pooled] = Field(min_length=1)
    usage: TokensUsed


class _Logprobs(BaseModel):
    top_logprobs: list[dict[str, float]] = Field(min_length=1)


class _Choice(BaseModel):
    logprobs: _Logprobs


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: TokensUsed


class VLLMScorer:
    """Runs a reward model on a server; see `protocols.ScoringBackend`.

    Args:
        url: The server's address, with or without `/v1`.
        model: The name it serves the model under; by default the first that it lists.
        api_key: Sent as a bearer token.
        timeout: Seconds that one request of a reward may take.
        chat_template_kwargs: Passed to the model's chat template, such as `{"enable_thinking": False}`.
        retry: How long to keep asking when it does not answer.
        token_wise: Whether the server's model has only token-wise pooling; by default found out with the first reward.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        timeout: float = 600,
        chat_template_kwargs: Mapping[str, Any] | None = None,
        retry: RetryPolicy | None = None,
        token_wise: bool | None = None,
    ) -> None:
        self._server = ModelServer(url, api_key=api_key, timeout=timeout, retry=retry)
        self._served = ServedModel(self._server, model, chat_template_kwargs)
        self._token_wise = token_wise
        self._tokens = TokenCache(self._served.encode)
        self._seams = Seams(self._tokens.encode)
        self._chats: Shared[tuple[str, bool], array[int]] = Shared(CHATS_KEPT)

    @property
    def name(self) -> str:
        """What to call the model in messages."""
        return self._served.name

    async def card(self) -> ModelCard:
        """What the server says of the model, asked for once. Raises as `ModelServer.post` does."""
        return await self._served.card()

    async def start(self) -> None:
        """Nothing to load: the server runs elsewhere."""

    async def aclose(self) -> None:
        """Close the connections."""
        await self._server.aclose()

    async def encode(self, text: str, *, special_tokens: bool = False) -> list[int]:
        """See `ScoringBackend.encode`."""
        return await self._tokens.encode(text, special_tokens=special_tokens)

    async def chat(self, turns: Sequence[Turn], *, generation_prompt: bool) -> list[int]:
        """See `ScoringBackend.chat`."""
        chat = [dict(turn) for turn in turns]

        async def render() -> "array[int]":
            return array("q", await self._served.chat(chat, generation_prompt=generation_prompt))

        return (await self._chats.get((digest(chat), generation_prompt), render)).tolist()

    async def joined(self, pieces: Sequence[str]) -> str | None:
        """See `rewards.pieces.ReadsText`. Not where the context may be too short: ids can be counted."""
        text = "".join(pieces)
        context = (await self._served.card()).max_model_len
        if context is not None and len(text.encode(errors="replace")) > BYTES_PER_TOKEN * context:
            return None
        return text if await self._seams.are_clean(pieces) else None

    async def head_after(self, text: str) -> Reading:
        """See `rewards.pieces.ReadsText`."""
        return await self._head({"input": text, "add_special_tokens": False})

    async def head(self, tokens: Sequence[int]) -> Reading:
        """See `ScoringBackend.head`."""
        require_room(self.name, len(tokens), (await self._served.card()).max_model_len, answer=0)
        return await self._head({"input": list(tokens)})

    async def _head(self, read: dict[str, object]) -> Reading:
        body = {"model": (await self._served.card()).id, "use_activation": False, **read}
        if self._token_wise is None:
            return await self._either(body)
        return await (self._pooled(body) if self._token_wise else self._classified(body))

    async def label_logprobs(self, tokens: Sequence[int], labels: Sequence[int]) -> Reading:
        """See `ScoringBackend.label_logprobs`."""
        card = await self._served.card()
        require_room(self.name, len(tokens), card.max_model_len, answer=1)
        answer = await self._server.post(
            "/v1/completions",
            {
                "model": card.id,
                "prompt": list(tokens),
                "max_tokens": 1,
                "temperature": 0,
                "logprobs": len(labels),
                "logprob_token_ids": list(labels),
                "return_tokens_as_token_ids": True,
            },
            _Completion,
        )
        said = answer.choices[0].logprobs.top_logprobs[0]
        try:
            return Reading(tuple(said[f"token_id:{label}"] for label in labels), answer.usage.read)
        except KeyError as error:
            raise RewardError(
                f"{self.name} does not say how likely {error} is: this needs a vLLM whose completions know "
                "`logprob_token_ids` (0.32 does)"
            ) from error

    async def _either(self, body: dict[str, object]) -> Reading:
        """Read the head at whichever endpoint the server has, and remember which."""
        try:
            reading = await self._classified(body)
        except (ContextOverflowError, ModelUnavailableError):
            raise
        except ModelResponseError as refused:  # there is no such endpoint, or not for this model
            try:
                reading = await self._pooled(body)
            except ModelResponseError as error:
                raise ModelResponseError(
                    f"{self.name} serves no reward head: {refused}; {error}. Is it a reward model of this `kind`?"
                ) from error
            self._token_wise = True
        else:
            self._token_wise = False
        return reading

    async def _classified(self, body: dict[str, object]) -> Reading:
        answer = await self._server.post("/classify", body, _Classification)
        return Reading(tuple(answer.data[0].probs), answer.usage.read)

    async def _pooled(self, body: dict[str, object]) -> Reading:
        pooled = await self._server.post("/pooling", {**body, "task": "token_classify"}, _Pooling)
        rows = pooled.data[0].data
        if not rows:
            raise RewardError(f"{self.name} returned no reward")
        return Reading(tuple(rows[-1]), pooled.usage.read)
