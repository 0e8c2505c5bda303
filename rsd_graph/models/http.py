"""The HTTP side of a model server: one connection pool, one layer of retries, typed errors.

What a server may take and send is limited. All requests of one step together, reading included, have `timeout`
seconds; the waits of the retry layer, and attempts that failed in passing, do not count. An answer may have so many
bytes as its request explains (`_most_bytes`), so that neither a slow nor an endless one holds up a run.
"""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote

import openai
from langchain_core.messages import BaseMessage, convert_to_openai_messages
from pydantic import BaseModel, ValidationError

from rsd_graph._internal.addresses import (
    checked_url,
    credentials,
    public_address,
)
from rsd_graph._internal.per_loop import PerLoop
from rsd_graph.errors import (
    ConfigurationError,
    InvalidProblemError,
    ModelError,
    ModelResponseError,
    ModelUnavailableError,
    describe,
    without_credentials,
)
from rsd_graph.models.connections import Connections, Reply, too_slow, unreachable
from rsd_graph.models.refusals import error_in, refusal
from rsd_graph.models.retries import Retrier, RetryPolicy

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


Listener = Callable[[Any], None]
"""Is handed each event of a streamed answer, a JSON value."""
Heard = TypeVar("Heard", bound=Listener)


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


class ModelServer:
    """A model server's JSON endpoints.

    May be called on any event loop. Each has connections of its own, and so has a forked child.

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
        self._connections = PerLoop(self._connect)

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
        content = self._content(path, body)
        return await self._request("POST", path, content, answer, _most_bytes(content, tokens))

    async def stream(self, path: str, body: dict[str, Any], listener: Callable[[], Heard], *, tokens: int) -> Heard:
        """Send `body`, and return a listener that has heard all events of the answer.

        A server that streams notices when nobody listens any more, and stops computing.

        Args:
            path: Of the endpoint.
            body: Sent as JSON.
            listener: Makes one for each attempt. A server that does not stream sends its whole answer as one event.
            tokens: How many tokens the server may write.

        Raises:
            As `post`.
        """
        content = self._content(path, body)
        most = _most_bytes(content, tokens)

        async def attempt() -> Heard:
            hearing = listener()
            await self._send("POST", path, content, most, hearing)
            return hearing

        return await self._retrier.ask(attempt)

    async def get(self, path: str, answer: type[Answer]) -> Answer:
        """Return what is at `path`, validated as `answer`. Raises as `post` does."""
        return await self._request("GET", path, None, answer, _most_bytes(b"", 0))

    async def text(self, path: str) -> str:
        """Return the text at `path`. Raises as `post` does."""
        most = _most_bytes(b"", 0)
        received = await self._retrier.ask(lambda: self._send("GET", path, None, most, as_text=True))
        return str(received)

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
        """Close the connections of all loops."""
        for loop, connections in self._connections.drop().items():
            if loop is asyncio.get_running_loop():
                await connections.aclose()
            else:
                connections.forsake()

    def _content(self, path: str, body: dict[str, Any]) -> bytes:
        try:
            return json.dumps(body, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ModelResponseError(f"{self.url}{path} cannot be asked: the text is no Unicode ({error})") from error

    def _connect(self) -> Connections:
        return Connections(self.url, self._timeout)

    async def _request(self, method: str, path: str, content: bytes | None, answer: type[Answer], most: int) -> Answer:
        return self.read(path, answer, await self._retrier.ask(lambda: self._send(method, path, content, most)))

    def read(self, path: str, answer: type[Answer], received: object) -> Answer:
        """What came from this path, validated.

        Raises:
            ModelResponseError: it is not such an answer.
        """
        try:
            return answer.model_validate(received)
        except ValidationError as error:
            raise ModelResponseError(
                f"{self.url}{path} answered something unexpected: {self._shown(describe(error))}"
            ) from None  # it quotes the answer, which may repeat the key

    async def _send(
        self,
        method: str,
        path: str,
        content: bytes | None,
        most: int,
        heard: Listener | None = None,
        *,
        as_text: bool = False,
    ) -> object:
        where = f"{self.url}{path}"
        time = _time.get() or _Time(self._timeout)
        connections = self._connections.get()
        async with connections.places:
            began = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(time.left):
                    received = await self._exchange(connections, method, where, content, most, heard, as_text=as_text)
            except TimeoutError as error:
                raise too_slow(where) from error
            time.left -= asyncio.get_running_loop().time() - began
        return received

    async def _exchange(
        self,
        connections: Connections,
        method: str,
        where: str,
        content: bytes | None,
        most: int,
        heard: Listener | None,
        *,
        as_text: bool,
    ) -> object:
        headers = {"Authorization": self._authorization}
        if content is not None:
            headers["Content-Type"] = "application/json"
        async with connections.ask(method, where, content, headers) as reply:
            failed = reply.status >= HTTPStatus.BAD_REQUEST
            kind = reply.headers.get("Content-Type", "json")
            parts = _limited(reply.parts, where, most)
            if heard is not None and "event-stream" in kind:
                async for event in _events(parts):
                    heard(self._received(event, reply, where))
                return None
            body = await _beginning(reply.parts) if failed else b"".join([part async for part in parts])
        if failed:
            raise refusal(reply.status, self._text(body), where, reply.headers.get("Retry-After"))
        if as_text:
            return body.decode(errors="replace")
        received = self._received(body, reply, where)
        if heard is not None:
            heard(received)
        return received

    def _received(self, body: bytes, reply: Reply, where: str) -> Any:
        """The JSON value, if it is no error."""
        try:
            received = json.loads(body)
        except (ValueError, RecursionError) as error:
            if "json" in reply.headers.get("Content-Type", "json"):
                raise ModelResponseError(f"{where} answered with something that cannot be read: {error}") from error
            raise ModelResponseError(
                f"{where} answered something unexpected: not JSON, got {self._text(body)!r:.80}"
            ) from error
        if error_in(received):
            raise refusal(reply.status, self._text(body), where)
        return received

    def _text(self, body: bytes) -> str:
        return self._shown(body.decode(errors="replace"))

    def _shown(self, text: str) -> str:
        """The text as an error may show it: a server may repeat the key that it refuses."""
        for secret in self._secrets:
            text = text.replace(secret, "[redacted]")
        return text


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


async def _limited(parts: AsyncIterator[bytes], where: str, most: int) -> AsyncIterator[bytes]:
    """The parts, as long as they have no more than `most` bytes together."""
    size = 0
    async for part in parts:
        size += len(part)
        if size > most:
            raise ModelResponseError(f"{where} sends more than {most} bytes, which is no answer to this request")
        yield part


async def _beginning(parts: AsyncIterator[bytes]) -> bytes:
    """The first `ERROR_BYTES` of an error, and a little more."""
    read = b""
    async for part in parts:
        read += part
        if len(read) > ERROR_BYTES:
            break
    return read


async def _events(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The data of server-sent events, each of one line; older versions of llama.cpp have a name for an error."""
    rest = b""
    async for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            name, _, data = line.strip().partition(b":")
            if name == b"data" and data.strip() != b"[DONE]":
                yield data
            elif name == b"error":
                yield b'{"error":' + data + b"}"


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
            return too_slow(where)
        case openai.APIConnectionError():
            said = shown(str(error.__cause__ or error)) or type(error.__cause__).__name__
            return unreachable(
                f"no answer from {where} ({said}): is the model server running there?",
                is_dropped=type(error.__cause__).__name__ in ("ReadError", "WriteError", "RemoteProtocolError"),
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
