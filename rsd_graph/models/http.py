"""The HTTP side of a model server: one connection pool, one layer of retries, typed errors."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

import openai
from langchain_core.messages import BaseMessage, convert_to_openai_messages
from pydantic import BaseModel, ValidationError

from rsd_graph._internal.addresses import LOOPBACK
from rsd_graph.errors import (
    ContextOverflowError,
    ModelError,
    ModelResponseError,
    ModelTimeoutError,
    ModelUnavailableError,
    ModelUnreachableError,
    describe,
)
from rsd_graph.models.retries import Retrier, RetryPolicy

CONNECT_SECONDS = 5.0
PASSING = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
"""Answers that may differ at the next attempt. Not 501, which vLLM gives for what a model cannot do."""
CONCURRENCY = 256
"""Requests that one client has in flight at once; vLLM itself batches about as many."""

Method = Literal["get", "post"]
Answer = TypeVar("Answer", bound=BaseModel)
"""The fields of an endpoint's answer that are read."""


class TokenIds(BaseModel):
    """The answer of `/tokenize`, of vLLM and of llama.cpp."""

    tokens: list[int]


class RenderedChat(BaseModel):
    """The answer of llama.cpp's `/apply-template`: the chat as text, ready to be continued."""

    prompt: str


class ModelCard(BaseModel):
    """One of the models that `/v1/models` lists."""

    id: str
    owned_by: str | None = None
    max_model_len: int | None = None
    """Tokens that prompt and completion may have together; only vLLM reports it."""


class _Models(BaseModel):
    data: list[ModelCard]


class ModelServer:
    """A model server's JSON endpoints, called through the plain `openai` client.

    Belongs to one event loop; the backends call it on the background loop.

    Args:
        url: Address with or without a trailing `/v1`, such as `http://127.0.0.1:8000`.
        api_key: Sent as a bearer token.
        timeout: Seconds to wait for an answer.
        retry: How long to keep asking when it does not answer.
    """

    def __init__(
        self, url: str, *, api_key: str | None = None, timeout: float = 600, retry: RetryPolicy | None = None
    ) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self._retrier = Retrier(retry)
        self._places = asyncio.Semaphore(CONCURRENCY)
        self._client = openai.AsyncOpenAI(
            base_url=self.url,
            api_key=api_key or "none",
            timeout=openai.Timeout(timeout, connect=min(CONNECT_SECONDS, timeout)),
            max_retries=0,  # retries live in one layer, `models.retries`
            http_client=loopback_client(url),
        )

    async def post(self, path: str, body: dict[str, Any], answer: type[Answer]) -> Answer:
        """Send `body` and return the answer, validated as `answer`.

        Raises:
            ModelUnreachableError, ModelUnavailableError, ModelTimeoutError, ModelResponseError, ContextOverflowError
        """
        return await self._request("post", path, body, answer)

    async def get(self, path: str, answer: type[Answer]) -> Answer:
        """Return what is at `path`, validated as `answer`. Raises as `post` does."""
        return await self._request("get", path, None, answer)

    async def model(self, name: str | None = None) -> ModelCard:
        """What the server says of the named model, or of the first that it lists. Raises as `post` does."""
        try:
            models = (await self.get("/v1/models", _Models)).data
        except ModelUnavailableError:
            raise
        except ModelResponseError:  # it has no such endpoint
            if name is None:
                raise
            models = []
        if name is not None:
            return next((card for card in models if card.id == name), ModelCard(id=name))
        if not models:
            raise ModelResponseError(f"{self.url}/v1/models lists no model")
        return models[0]

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _request(self, method: Method, path: str, body: dict[str, Any] | None, answer: type[Answer]) -> Answer:
        content = await self._retrier.ask(lambda: self._send(method, path, body))
        try:
            return answer.model_validate(content)
        except ValidationError as error:
            raise ModelResponseError(f"{self.url}{path} answered something unexpected: {describe(error)}") from error

    async def _send(self, method: Method, path: str, body: dict[str, Any] | None) -> object:
        try:
            async with self._places:
                if method == "get":
                    return await self._client.get(path, cast_to=object)
                return await self._client.post(path, cast_to=object, body=body)
        except (openai.OpenAIError, ValueError) as error:
            raise model_error(error, f"{self.url}{path}") from error


def loopback_client(url: str) -> openai.DefaultAsyncHttpxClient | None:
    """A client that ignores the environment's proxies, if the address is this machine's; None for other addresses."""
    if urlsplit(url).hostname in LOOPBACK:
        return openai.DefaultAsyncHttpxClient(trust_env=False)
    return None


def model_error(error: Exception, where: str) -> ModelError:
    """An error of the `openai` client as an error of this package. `where` is the address that was asked."""
    match error:
        # by name: `openai` uses httpx, or httpx2 in newer versions
        case openai.APITimeoutError() if type(error.__cause__).__name__ != "ConnectTimeout":
            return ModelTimeoutError(
                f"{where} did not answer in time: is it overloaded? Raise `timeout`, or lower the number of problems "
                "solved at once."
            )
        case openai.APIConnectionError():
            return ModelUnreachableError(
                f"no answer from {where} ({error.__cause__ or error}): is the model server running there?"
            )
        case openai.APIStatusError():
            return _status_error(error, where)
        case _:
            return ModelResponseError(f"{where} answered with something that cannot be read: {error}")


def _status_error(error: openai.APIStatusError, where: str) -> ModelError:
    detail = " ".join(error.message.split())[:300]
    status = error.status_code
    if status == HTTPStatus.BAD_REQUEST and "context" in detail and ("length" in detail or "size" in detail):
        return ContextOverflowError(f"the prompt does not fit the context of {where}: {detail}")
    what = f"{where} answered {status}: {detail}"
    if status not in PASSING:
        return ModelResponseError(what)
    unavailable = ModelUnavailableError(what)
    unavailable.failing = status == HTTPStatus.INTERNAL_SERVER_ERROR
    with suppress(KeyError, ValueError):  # absent, or a date, which no model server sends
        unavailable.retry_after = float(error.response.headers["retry-after"])
    return unavailable


def to_openai(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """The messages in the OpenAI chat format."""
    converted = convert_to_openai_messages(list(messages))
    return converted if isinstance(converted, list) else [converted]
