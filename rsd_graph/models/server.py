"""The HTTP side of a model server: one connection pool, one layer of retries, typed errors."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

import openai
from langchain_core.messages import BaseMessage, convert_to_openai_messages
from pydantic import BaseModel, ValidationError
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from rsd_graph.errors import (
    ContextOverflowError,
    ModelError,
    ModelResponseError,
    ModelTimeoutError,
    ModelUnreachableError,
    describe,
)

CONNECT_SECONDS = 5.0
PASSING = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
"""Answers that may be others at the next attempt."""


Method = Literal["get", "post"]
Answer = TypeVar("Answer", bound=BaseModel)
"""What an endpoint answers with, as far as it is read."""


class RenderedChat(BaseModel):
    """What llama.cpp's `/apply-template` answers: the chat as text, ready to be continued."""

    prompt: str


class _Model(BaseModel):
    id: str


class _Models(BaseModel):
    data: list[_Model]


class ModelServer:
    """A model server's JSON endpoints, called through the plain `openai` client.

    Belongs to one event loop; the backends call it on the background loop.

    Args:
        url: Address with or without a trailing `/v1`, such as `http://127.0.0.1:8000`.
        api_key: Sent as a bearer token.
        timeout: Seconds to wait for an answer.
        attempts: How often a refused connection, 429 or 5xx is tried before it is an error.
    """

    def __init__(self, url: str, *, api_key: str | None = None, timeout: float = 600, attempts: int = 3) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self._attempts = attempts
        self._client = openai.AsyncOpenAI(
            base_url=self.url,
            api_key=api_key or "none",
            timeout=openai.Timeout(timeout, connect=min(CONNECT_SECONDS, timeout)),
            max_retries=0,  # retries live in `_request`, in one layer
            http_client=loopback_client(url),
        )

    async def post(self, path: str, body: dict[str, Any], answer: type[Answer]) -> Answer:
        """Send `body` and return what comes back, read as `answer`.

        Raises:
            ModelUnreachableError, ModelTimeoutError, ModelResponseError, ContextOverflowError
        """
        return await self._request("post", path, body, answer)

    async def get(self, path: str, answer: type[Answer]) -> Answer:
        """Return what is at `path`, read as `answer`. Raises as `post` does."""
        return await self._request("get", path, None, answer)

    async def first_model(self) -> str:
        """The name of the first model that the server lists. Raises as `post` does."""
        models = (await self.get("/v1/models", _Models)).data
        if not models:
            raise ModelResponseError(f"{self.url}/v1/models lists no model")
        return models[0].id

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _request(self, method: Method, path: str, body: dict[str, Any] | None, answer: type[Answer]) -> Answer:
        retrying = AsyncRetrying(
            retry=retry_if_exception(_may_pass),
            stop=stop_after_attempt(self._attempts),
            wait=wait_random_exponential(multiplier=0.2, max=5),
            reraise=True,
        )
        where = f"{self.url}{path}"
        try:
            content: object = await retrying(self._send, method, path, body)
            return answer.model_validate(content)
        except ValidationError as error:
            raise ModelResponseError(f"{where} answered something unexpected: {describe(error)}") from error
        except (openai.OpenAIError, ValueError) as error:
            raise model_error(error, where) from error

    async def _send(self, method: Method, path: str, body: dict[str, Any] | None) -> object:
        if method == "get":
            return await self._client.get(path, cast_to=object)
        return await self._client.post(path, cast_to=object, body=body)


def loopback_client(url: str) -> openai.DefaultAsyncHttpxClient | None:
    """A client that goes around any proxy of the environment, if the address is this machine's; None for others."""
    if urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost"):
        return openai.DefaultAsyncHttpxClient(trust_env=False)
    return None


def _may_pass(error: BaseException) -> bool:
    """Whether the next attempt may succeed. A timeout has been waited for long enough."""
    if isinstance(error, openai.APIStatusError):
        return error.status_code in PASSING
    return isinstance(error, openai.APIConnectionError) and not isinstance(error, openai.APITimeoutError)


def model_error(error: Exception, where: str) -> ModelError:
    """What an `openai` client raised, as an error of this package. `where` is the address that was asked."""
    match error:
        case openai.APITimeoutError():
            return ModelTimeoutError(
                f"{where} did not answer in time: is it overloaded? Raise `timeout`, or lower the number of problems "
                "solved at once."
            )
        case openai.APIConnectionError():
            return ModelUnreachableError(
                f"no answer from {where} ({error.__cause__ or error}): is the model server running there?"
            )
        case openai.APIStatusError():
            detail = " ".join(error.message.split())[:300]
            if (
                error.status_code == HTTPStatus.BAD_REQUEST
                and "context" in detail
                and ("length" in detail or "size" in detail)
            ):
                return ContextOverflowError(f"the prompt does not fit the context of {where}: {detail}")
            return ModelResponseError(f"{where} answered {error.status_code}: {detail}")
        case _:
            return ModelResponseError(f"{where} answered with something that cannot be read: {error}")


def to_openai(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """The messages in the OpenAI chat format."""
    converted = convert_to_openai_messages(list(messages))
    return converted if isinstance(converted, list) else [converted]
