"""The HTTP side of a model server: one connection pool, one layer of retries, typed errors."""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import openai
from langchain_core.messages import BaseMessage, convert_to_openai_messages
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from rsd_graph.errors import (
    ContextOverflowError,
    ModelError,
    ModelResponseError,
    ModelTimeoutError,
    ModelUnreachableError,
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


class _PassingError(Exception):
    """Wraps an error that may be gone at the next attempt."""

    def __init__(self, error: ModelError) -> None:
        self.error = error


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
        self.timeout = timeout
        self._attempts = attempts
        self._client = openai.AsyncOpenAI(
            base_url=self.url,
            api_key=api_key or "none",
            timeout=openai.Timeout(timeout, connect=min(CONNECT_SECONDS, timeout)),
            max_retries=0,  # retries live in `_request`, in one layer
        )

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send `body` and return the JSON object that comes back.

        Raises:
            ModelUnreachableError, ModelTimeoutError, ModelResponseError, ContextOverflowError
        """
        return await self._request("post", path, body)

    async def get(self, path: str) -> dict[str, Any]:
        """Return the JSON object at `path`. Raises as `post` does."""
        return await self._request("get", path, None)

    async def first_model(self) -> str:
        """The name of the first model that the server lists. Raises as `post` does."""
        name: str = field_of(await self.get("/v1/models"), "data", 0, "id", where=f"{self.url}/v1/models")
        return name

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _request(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_PassingError),
            stop=stop_after_attempt(self._attempts),
            wait=wait_random_exponential(multiplier=0.2, max=5),
            reraise=True,
        )
        try:
            async for attempt in retrying:
                with attempt:
                    return await self._request_once(method, path, body)
        except _PassingError as passing:
            raise passing.error from passing.__cause__
        raise AssertionError("tenacity always returns or raises")

    async def _request_once(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        try:
            if method == "post":
                answer: object = await self._client.post(path, cast_to=object, body=body)
            else:
                answer = await self._client.get(path, cast_to=object)
        except openai.APITimeoutError as error:
            raise ModelTimeoutError(
                f"{self.url} did not answer {path} within {self.timeout:g} s: is it overloaded? Raise `timeout`, or "
                "lower the number of problems solved at once."
            ) from error
        except openai.APIConnectionError as error:
            reason = error.__cause__ or error
            raise _PassingError(
                ModelUnreachableError(f"no answer from {self.url} ({reason}): is the model server running there?")
            ) from error
        except openai.APIStatusError as error:
            raise self._status_error(path, error) from error
        except (json.JSONDecodeError, UnicodeDecodeError, openai.OpenAIError) as error:
            raise ModelResponseError(f"{self.url}{path} answered with something that is not JSON: {error}") from error
        if not isinstance(answer, dict):
            raise ModelResponseError(f"{self.url}{path} answered with {str(answer)[:80]!r} instead of a JSON object")
        return answer

    def _status_error(self, path: str, error: openai.APIStatusError) -> Exception:
        detail = " ".join(error.message.split())[:300]
        if (
            error.status_code == HTTPStatus.BAD_REQUEST
            and "context" in detail
            and ("length" in detail or "size" in detail)
        ):
            return ContextOverflowError(f"the prompt does not fit the context of {self.url}: {detail}")
        failure = ModelResponseError(f"{self.url}{path} answered {error.status_code}: {detail}")
        return _PassingError(failure) if error.status_code in PASSING else failure


def to_openai(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """The messages in the OpenAI chat format."""
    converted = convert_to_openai_messages(list(messages))
    return converted if isinstance(converted, list) else [converted]


def field_of(answer: dict[str, Any], *path: str | int, where: str) -> Any:
    """The value at `path` inside a server's answer.

    Raises:
        ModelResponseError: the answer has no such field.
    """
    value: Any = answer
    for key in path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            raise ModelResponseError(
                f"{where} answered without {'.'.join(map(str, path))}: {json.dumps(answer)[:200]}"
            ) from None
    return value
