"""The HTTP side of a model server: one connection pool, one layer of retries, typed errors.

What a server may take and send is limited. All requests of one step together, reading included, have `timeout`
seconds; the waits of the retry layer, and attempts that failed in passing, do not count. An answer may have so many
bytes as its request explains (`_most_bytes`), so that neither a slow nor an endless one holds up a run.
"""

import asyncio
import base64
import json
import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote

import httpx2
import openai
from langchain_core.messages import BaseMessage, convert_to_openai_messages
from pydantic import BaseModel, ValidationError

from rsd_graph._internal.addresses import (
    checked_url,
    credentials,
    is_this_machine,
    public_address,
)
from rsd_graph._internal.background import PerProcess
from rsd_graph.errors import (
    ConfigurationError,
    InvalidProblemError,
    ModelError,
    ModelResponseError,
    ModelTimeoutError,
    ModelUnavailableError,
    ModelUnreachableError,
    describe,
    without_credentials,
)
from rsd_graph.models.refusals import error_in, refusal
from rsd_graph.models.retries import Retrier, RetryPolicy

CONNECT_SECONDS = 5.0
CONCURRENCY = 256
"""Requests that one client has in flight at once; vLLM itself batches about as many."""
KEEPALIVE_SECONDS = 4.0
"""An idle connection is closed before the server closes it: uvicorn does after 5 seconds."""

ANY_ANSWER = 4 << 20
"""Bytes that any answer may have."""
PER_BYTE = 16
"""Further bytes for each byte of the request: llama.cpp repeats the prompt, and token ids are longer than text."""
PER_TOKEN = 4096
"""Further bytes for each token that may be written, with its log-probability."""
ERROR_BYTES = 64 << 10
"""Bytes of an HTTP error that are read."""

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


@dataclass(slots=True)
class _Time:
    """Seconds that the requests of a step may still take."""

    left: float


_time: ContextVar[_Time | None] = ContextVar("time", default=None)


@dataclass(slots=True)
class _Connections:
    """What belongs to one process and its background loop."""

    client: httpx2.AsyncClient
    places: asyncio.Semaphore


class ModelServer:
    """A model server's JSON endpoints.

    Called on the background loop. A forked child has connections of its own.

    Args:
        url: Address with or without a trailing `/v1`, such as `http://127.0.0.1:8000`. User and password in it are
            sent, unless there is an `api_key`, and never shown.
        api_key: Sent as a bearer token.
        timeout: Seconds for one request, or for all requests of a step (`step`).
        retry: How long to keep asking when it does not answer.

    Raises:
        ConfigurationError: the address is none, or the key cannot be sent.
    """

    def __init__(
        self, url: str, *, api_key: str | None = None, timeout: float = 600, retry: RetryPolicy | None = None
    ) -> None:
        try:
            checked_url(public_address(url))
        except ValueError as error:
            shown = re.sub(r"[?#].*", "?…", url.rpartition("@")[2], flags=re.DOTALL)
            raise ConfigurationError(f"{shown!r:.200} is no server's address: {error}") from error
        self.url = public_address(url).rstrip("/").removesuffix("/v1").rstrip("/")
        """Without user and password."""
        self._authorization, self._secrets = _authorization(url, api_key, self.url)
        self._timeout = timeout
        self._retrier = Retrier(retry)
        self._connections = PerProcess(self._connect)

    async def post(self, path: str, body: dict[str, Any], answer: type[Answer], *, tokens: int = 0) -> Answer:
        """Send `body` and return the answer, validated as `answer`.

        Args:
            path: Of the endpoint.
            body: Sent as JSON.
            answer: What is read of the answer.
            tokens: How many tokens the server may write.

        Raises:
            ModelUnreachableError, ModelUnavailableError, ModelTimeoutError, ModelResponseError, ContextOverflowError
        """
        try:
            content = json.dumps(body, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ModelResponseError(f"{self.url}{path} cannot be asked: the text is no Unicode ({error})") from error
        return await self._request("POST", path, content, answer, _most_bytes(content, tokens))

    async def get(self, path: str, answer: type[Answer]) -> Answer:
        """Return what is at `path`, validated as `answer`. Raises as `post` does."""
        return await self._request("GET", path, None, answer, _most_bytes(b"", 0))

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

    @contextmanager
    def step(self) -> Iterator[None]:
        """All requests in this block together have `timeout` seconds. Blocks inside it start with what is left."""
        outer = _time.get()
        token = _time.set(_Time(self._timeout) if outer is None else replace(outer))
        try:
            yield
        finally:
            _time.reset(token)

    async def aclose(self) -> None:
        """Close the connections."""
        connections = self._connections.drop()
        if connections is not None:
            await connections.client.aclose()

    def _connect(self) -> _Connections:
        return _Connections(http_client(self.url, self._timeout), asyncio.Semaphore(CONCURRENCY))

    async def _request(self, method: str, path: str, content: bytes | None, answer: type[Answer], most: int) -> Answer:
        received = await self._retrier.ask(lambda: self._send(method, path, content, most))
        try:
            return answer.model_validate(received)
        except ValidationError as error:
            raise ModelResponseError(
                f"{self.url}{path} answered something unexpected: {self._shown(describe(error))}"
            ) from None  # it quotes the answer, which may repeat the key

    async def _send(self, method: str, path: str, content: bytes | None, most: int) -> object:
        where = f"{self.url}{path}"
        time = _time.get() or _Time(self._timeout)
        phases: list[str] = []
        connections = self._connections.get()
        async with connections.places:
            began = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(time.left):
                    received = await self._exchange(connections.client, method, path, content, most, phases)
            except TimeoutError as error:
                raise _too_slow(where) from error
            except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
                raise _transport_error(error, where, phases) from error
            time.left -= asyncio.get_running_loop().time() - began
        return received

    async def _exchange(
        self, client: httpx2.AsyncClient, method: str, path: str, content: bytes | None, most: int, phases: list[str]
    ) -> object:
        async def trace(phase: str, _: object) -> None:
            phases.append(phase)

        headers = {"Authorization": self._authorization}
        if content is not None:
            headers["Content-Type"] = "application/json"
        where = f"{self.url}{path}"
        async with client.stream(
            method, where, content=content, headers=headers, extensions={"trace": trace}
        ) as response:
            failed = response.status_code >= HTTPStatus.BAD_REQUEST
            body = await _read(response, ERROR_BYTES if failed else most)
            if len(body) > most and not failed:
                raise ModelResponseError(f"{where} sends more than {most} bytes, which is no answer to this request")
            text = self._shown(body.decode(errors="replace"))
            if failed:
                raise refusal(response.status_code, text, where, response.headers.get("retry-after"))
            try:
                received = json.loads(body)
            except (ValueError, RecursionError) as error:
                if "json" in response.headers.get("content-type", "json"):
                    raise ModelResponseError(f"{where} answered with something that cannot be read: {error}") from error
                raise ModelResponseError(
                    f"{where} answered something unexpected: not JSON, got {text!r:.80}"
                ) from error
            if error_in(received):
                raise refusal(response.status_code, text, where)
            return received

    def _shown(self, text: str) -> str:
        """The text as an error may show it: a server may repeat the key that it refuses."""
        for secret in self._secrets:
            text = text.replace(secret, "[redacted]")
        return text


def http_client(url: str, timeout: float) -> httpx2.AsyncClient:
    """A client for this address, which goes around the environment's proxies if the address is this machine's.

    Raises:
        ConfigurationError: the environment names a proxy that cannot be used.
    """
    limits = httpx2.Limits(
        max_connections=None, max_keepalive_connections=CONCURRENCY, keepalive_expiry=KEEPALIVE_SECONDS
    )
    local = is_this_machine(url)
    try:
        return httpx2.AsyncClient(
            # `ModelServer` keeps the time of reading and writing
            timeout=httpx2.Timeout(None, connect=min(CONNECT_SECONDS, timeout)),
            follow_redirects=True,
            limits=limits,
            verify=_tls(),
            transport=httpx2.AsyncHTTPTransport(verify=_tls(), limits=limits) if local else None,
        )
    except ImportError as error:
        raise ConfigurationError(
            "the environment names a SOCKS proxy (ALL_PROXY, HTTP_PROXY or HTTPS_PROXY), which needs the package "
            "`socksio`: run `pip install socksio`, or name the server in NO_PROXY"
        ) from error
    except (ValueError, httpx2.InvalidURL) as error:
        raise ConfigurationError(
            f"the environment names a proxy that cannot be used (ALL_PROXY, HTTP_PROXY or HTTPS_PROXY): "
            f"{without_credentials(str(error))}"
        ) from error


@cache
def _tls() -> ssl.SSLContext:
    """Reading the certificates takes longer than many a request."""
    return httpx2.create_ssl_context()


def _authorization(url: str, api_key: str | None, shown: str) -> tuple[str, list[str]]:
    """The header's value, and what must never be shown, longest first."""
    key = (api_key or "").strip()
    user = credentials(url)
    if not all("!" <= character <= "~" for character in key):
        raise ConfigurationError(
            f"the API key for {shown} (`api_key`, or the variable that `api_key_env` names) cannot be sent: it holds "
            "white space, a control character, or one that is not ASCII"
        )
    basic = "" if user is None else base64.b64encode(":".join(user).encode()).decode()
    value = f"Bearer {key}" if key or user is None else f"Basic {basic}"
    secrets = {key, basic, *((user[1],) if user else ())} - {""}
    spellings = {text for each in secrets for text in (each, quote(each, safe=""), json.dumps(each)[1:-1])}
    return value if key or user else "Bearer none", sorted(spellings, key=len, reverse=True)


def _most_bytes(content: bytes, tokens: int) -> int:
    """Bytes that the answer to a request may have."""
    return ANY_ANSWER + PER_BYTE * len(content) + PER_TOKEN * tokens


async def _read(response: httpx2.Response, most: int) -> bytes:
    """The body, or a little more than its first `most` bytes."""
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes():
        parts.append(part)
        size += len(part)
        if size > most:
            break
    return b"".join(parts)


def _too_slow(where: str) -> ModelTimeoutError:
    return ModelTimeoutError(
        f"{where} did not answer in time: is it overloaded? Raise `timeout`, or lower the number of problems solved at "
        "once."
    )


def _transport_error(error: Exception, where: str, phases: Sequence[str]) -> ModelError:
    """An error of httpx2 as an error of this package. `phases` is how far the request came."""
    said = without_credentials(" ".join(str(error).split()))[:200] or type(error).__name__
    in_tls = any(".start_tls.started" in phase for phase in phases)
    connected = any("send_request_headers.started" in phase for phase in phases)
    if isinstance(error, httpx2.RemoteProtocolError) and "illegal" in said:
        hint = "does it speak TLS? Then write https://" if where.startswith("http:") else "it does not speak HTTP"
        return _unreachable(f"{where} answered with something that cannot be read ({said}): {hint}", lasting=True)
    if isinstance(
        error, httpx2.InvalidURL | httpx2.UnsupportedProtocol | httpx2.LocalProtocolError | httpx2.DecodingError
    ):
        return ModelResponseError(f"{where} answered with something that cannot be read: {said}")
    if isinstance(error, httpx2.TooManyRedirects):
        return ModelResponseError(f"{where} redirects again and again")
    if in_tls and not connected:
        return _unreachable(
            f"no TLS connection to {where} ({said}): does it speak plain HTTP? Then write http://", lasting=True
        )
    if connected:
        return _unreachable(
            f"no answer from {where}: it dropped the connection after it had the request ({said}); did the model "
            "server stop, or does it expect https://?",
            dropped=True,
        )
    return _unreachable(f"no answer from {where} ({said}): is the model server running there?")


def _unreachable(message: str, *, dropped: bool = False, lasting: bool = False) -> ModelUnreachableError:
    error = ModelUnreachableError(message)
    error.dropped, error.lasting = dropped, lasting
    return error


def model_error(error: Exception, where: str, secrets: Sequence[str] = ()) -> ModelError:
    """An error of the `openai` client as an error of this package.

    Args:
        error: Of a chat model that is not ours.
        where: What was asked.
        secrets: Never shown.
    """

    def shown(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, "[redacted]")
        return without_credentials(text)

    match error:
        # by name: `openai` uses httpx, or httpx2 in newer versions
        case openai.APITimeoutError() if type(error.__cause__).__name__ != "ConnectTimeout":
            return _too_slow(where)
        case openai.APIConnectionError():
            said = shown(str(error.__cause__ or error)) or type(error.__cause__).__name__
            return _unreachable(
                f"no answer from {where} ({said}): is the model server running there?",
                dropped=type(error.__cause__).__name__ in ("ReadError", "WriteError", "RemoteProtocolError"),
            )
        case openai.APIStatusError():
            body = json.dumps(error.body) if isinstance(error.body, dict | list) else error.response.text
            return refusal(error.status_code, shown(body), where, error.response.headers.get("retry-after"))
        case _:
            said = shown(str(error))
            if isinstance(told := refusal(HTTPStatus.BAD_REQUEST, said, where), ModelResponseError):
                return ModelResponseError(f"{where} answered with something that cannot be read: {said}")
            return told


def to_openai(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """The messages in the OpenAI chat format.

    Raises:
        InvalidProblemError: one is of a kind that the format does not have.
    """
    try:
        converted = convert_to_openai_messages(list(messages))
    except (ValueError, TypeError, KeyError) as error:  # whatever LangChain says of content that the format lacks
        raise InvalidProblemError(f"the conversation cannot be sent to a model: {error!s:.200}") from error
    return converted if isinstance(converted, list) else [converted]
