import asyncio
import threading
import time
from contextlib import aclosing
from typing import Any

import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from pydantic import RootModel

from rsd_graph.errors import (
    ContextOverflowError,
    ModelResponseError,
    ModelTimeoutError,
    ModelUnavailableError,
    ModelUnreachableError,
    RSDError,
)
from rsd_graph.models.connections import proxy_for
from rsd_graph.models.http import ModelCard, ModelServer, model_error, to_openai
from rsd_graph.models.retries import NO_RETRY, RetryPolicy
from tests.conftest import FakeServer

MALFORMED = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"choices'
HTML = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 18\r\n\r\n<html>hello</html>"
DROPPED = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{"choices'


class Anything(RootModel[dict[str, Any]]):
    pass


def post(url: str, **options: Any) -> dict[str, Any]:
    """One request on a loop of its own."""

    async def run() -> dict[str, Any]:
        async with aclosing(ModelServer(url, **options)) as server:
            return (await server.post("/x", {"a": 1}, Anything)).root

    return asyncio.run(run())


def test_an_answer_comes_back_as_an_object(server: FakeServer) -> None:
    """The body goes out as JSON; `/v1` in the address makes no difference."""
    server.answer("/x", {"b": 2})
    assert post(f"{server.url}/v1/") == {"b": 2}
    assert server.bodies("/x") == [{"a": 1}]


def test_a_proxy_is_not_asked_for_this_machine(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded models answer on loopback, where no proxy can reach them."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.answer("/x", {"b": 2})
    assert post(server.url, retry=NO_RETRY) == {"b": 2}


def test_a_server_that_is_not_there_is_named() -> None:
    """Connection refused: the message gives the address and asks the right question."""
    with pytest.raises(ModelUnreachableError, match=r"127\.0\.0\.1:1/x .*running there"):
        post("http://127.0.0.1:1", retry=NO_RETRY)


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        ((500, {"error": {"message": "out of memory"}}), ModelResponseError, "500.*out of memory"),
        ((404, {"error": {"message": "no such thing"}}), ModelResponseError, "404.*no such thing"),
        ((501, {"error": {"message": "not supported"}}), ModelResponseError, "501.*not supported"),
        ((401, {"error": {"message": "no key"}}), ModelResponseError, "401.*no key"),
        (MALFORMED, ModelResponseError, "cannot be read"),
        (HTML, ModelResponseError, "/x answered something unexpected: .*<html>hello"),
        ([1, 2], ModelResponseError, "got \\[1, 2\\]"),
        ((429, {"error": {"message": "too many"}}), ModelUnavailableError, "429.*too many"),
        ((502, {"error": {"message": "bad gateway"}}), ModelUnavailableError, "502.*bad gateway"),
        ((503, {"error": {"message": "loading"}}), ModelUnavailableError, "503.*loading"),
        ((504, {"error": {"message": "gateway timeout"}}), ModelUnavailableError, "504.*gateway timeout"),
        ((400, {"error": {"message": "bad stop"}}), ModelResponseError, "400.*bad stop"),
        (DROPPED, ModelUnreachableError, "no answer"),
        (b"", ModelUnreachableError, "no answer"),
        (
            (400, {"error": {"message": "This model's maximum context length is 512 tokens."}}),
            ContextOverflowError,
            "512 tokens",
        ),
        (
            (400, {"error": {"message": "request (5001 tokens) exceeds the available context size (2048 tokens)"}}),
            ContextOverflowError,
            "5001 tokens",
        ),
    ],
)
def test_a_bad_answer_is_a_typed_error(server: FakeServer, answer: Any, error: type[RSDError], message: str) -> None:
    """Each failure has its class, and its message says what came back."""
    server.answer("/x", answer)
    with pytest.raises(error, match=message):
        post(server.url, retry=NO_RETRY)


def test_a_server_that_hangs_times_out(server: FakeServer) -> None:
    """No answer within the timeout is an error, and is not tried again."""
    server.answer("/x", lambda _: time.sleep(1))
    with pytest.raises(ModelTimeoutError, match=r"/x did not answer in time"):
        post(server.url, timeout=0.5)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "transient", [*((status, {"error": "for now"}) for status in (429, 500, 502, 503, 504)), DROPPED, b""]
)
def test_a_transient_failure_is_tried_again(server: FakeServer, transient: Any) -> None:
    """A server that is busy, or restarting, answers at the next attempt."""
    server.answer("/x", transient, {"b": 2})
    assert post(server.url) == {"b": 2}
    assert len(server.requests) == 2


@pytest.mark.parametrize("answer", [(400, {}), (401, {}), (404, {}), (422, {}), (501, {}), MALFORMED, HTML, [1, 2]])
def test_a_lasting_failure_is_not_tried_again(server: FakeServer, answer: Any) -> None:
    """What the server refuses once, or answers wrongly, it would again."""
    server.answer("/x", answer, {"b": 2})
    with pytest.raises(ModelResponseError):
        post(server.url)
    assert len(server.requests) == 1


@pytest.mark.parametrize(("status", "failing"), [(500, True), (502, False), (503, False), (504, False), (429, False)])
def test_a_failed_request_is_distinguished_from_a_postponed_one(server: FakeServer, status: int, failing: bool) -> None:
    """Only 500 says that the request itself was tried; the retries of it are few."""
    server.answer("/x", (status, {}))
    with pytest.raises(ModelUnavailableError) as caught:
        post(server.url, retry=NO_RETRY)
    assert caught.value.failing is failing


def test_attempts_are_bounded(server: FakeServer) -> None:
    """As many as the policy says."""
    server.answer("/x", (503, {}))
    with pytest.raises(ModelUnavailableError):
        post(server.url, retry=RetryPolicy(attempts=4))
    assert len(server.requests) == 4


@pytest.mark.parametrize(("key", "sent"), [("secret", "Bearer secret"), (None, "Bearer none")])
def test_the_key_is_a_bearer_token(server: FakeServer, key: str | None, sent: str) -> None:
    """A server that wants none ignores it."""
    server.answer("/x", {})
    post(server.url, api_key=key)
    assert server.received[0]["authorization"] == sent


def test_only_this_machine_is_reached_around_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other address may need its proxy; in each of its spellings, this machine does not."""
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    hosts = ("127.0.0.1", "[::1]", "localhost", "localhost.", "0.0.0.0", "127.0.1.1", "127.1", "[::]")
    for host in (*hosts, "[::ffff:127.0.0.1]", "models.localhost"):
        assert proxy_for(f"http://{host}:8000") is None, host
    assert proxy_for("http://models.example:8000") == "http://127.0.0.1:1"


def model(url: str, name: str | None = None) -> ModelCard:
    async def run() -> ModelCard:
        async with aclosing(ModelServer(url)) as server:
            return await server.model(name)

    return asyncio.run(run())


def test_a_server_lists_its_models(server: FakeServer) -> None:
    """The first is the one, unless another is named; a name that is not listed may still be served."""
    server.answer("/v1/models", {"data": [{"id": "a", "owned_by": "vllm", "max_model_len": 8}, {"id": "b"}]})
    assert model(server.url) == ModelCard(id="a", owned_by="vllm", max_model_len=8)
    assert model(server.url, "b") == ModelCard(id="b")
    assert model(server.url, "c") == ModelCard(id="c")
    assert server.requests == [("/v1/models", {})] * 3


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"data": []}, "lists no model"),
        ((404, {"error": {"message": "not found"}}), "404"),
        ({"models": []}, "data: field required"),
    ],
)
def test_a_server_without_a_list_needs_a_name(server: FakeServer, answer: Any, message: str) -> None:
    """With a name, no list is needed."""
    server.answer("/v1/models", answer)
    with pytest.raises(ModelResponseError, match=message):
        model(server.url)
    assert model(server.url, "a") == ModelCard(id="a")


def test_a_server_that_is_loading_has_no_list_yet(server: FakeServer) -> None:
    """It is not taken for one without a list, even where a name is given."""
    server.answer("/v1/models", (503, {}))
    with pytest.raises(ModelUnavailableError):
        model(server.url, "a")


def test_messages_take_the_openai_format() -> None:
    """Roles by OpenAI's names."""
    assert to_openai([SystemMessage("think"), HumanMessage("2+2?"), AIMessage("4")]) == [
        {"role": "system", "content": "think"},
        {"role": "user", "content": "2+2?"},
        {"role": "assistant", "content": "4"},
    ]


def test_a_host_that_accepts_no_connection_is_unreachable() -> None:
    """This is not a slow answer: the host is down, and may come up again."""
    request = openai.DefaultAsyncHttpxClient().build_request("GET", "http://host")
    error = openai.APITimeoutError(request)
    assert isinstance(model_error(error, "http://host"), ModelTimeoutError)
    error.__cause__ = type("ConnectTimeout", (Exception,), {})()
    assert isinstance(model_error(error, "http://host"), ModelUnreachableError)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("soon", None), (None, None)],
)
def test_a_server_says_when_to_come_back(
    server: FakeServer, status: int, header: str | None, seconds: float | None
) -> None:
    """In seconds, with its refusal; a date is ignored."""
    if header is not None:
        server.headers["Retry-After"] = header
    server.answer("/x", (status, {"error": {"message": "busy"}}))
    with pytest.raises(ModelUnavailableError, match=f"{status}.*busy") as caught:
        post(server.url, retry=NO_RETRY)
    assert caught.value.retry_after == seconds


def test_only_so_many_requests_are_under_way(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others wait in this process, where their timeout has not started."""
    monkeypatch.setattr("rsd_graph.models.connections.MOST_CONCURRENT", 2)
    under_way, most = 0, 0
    lock = threading.Lock()

    def answer(_: Any) -> dict[str, int]:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.02)
        with lock:
            under_way -= 1
        return {"b": 2}

    server.answer("/x", answer)

    async def run() -> None:
        async with aclosing(ModelServer(server.url, timeout=5)) as client:
            await asyncio.gather(*(client.post("/x", {}, Anything) for _ in range(8)))

    asyncio.run(run())
    assert most == 2
