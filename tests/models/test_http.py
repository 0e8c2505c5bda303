import asyncio
import threading
import time
from contextlib import aclosing
from typing import Any

import openai
import pytest
from pydantic import RootModel

from rsd_graph.errors import (
    ContextOverflowError,
    ModelResponseError,
    ModelTimeoutError,
    ModelUnavailableError,
    ModelUnreachableError,
    RSDError,
)
from rsd_graph.models.http import ModelServer, model_error
from rsd_graph.models.replicas import NO_RETRY
from tests.conftest import FakeServer

MALFORMED = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"choices'
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
    """The message gives the address and asks the right question."""
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
        ([1, 2], ModelResponseError, "got \\[1, 2\\]"),
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


def test_a_server_that_hangs_is_given_up(server: FakeServer) -> None:
    """No answer within the timeout is an error, and is not tried again."""
    server.answer("/x", lambda _: time.sleep(1))
    with pytest.raises(ModelTimeoutError, match=r"/x did not answer in time"):
        post(server.url, timeout=0.2)
    assert len(server.requests) == 1


@pytest.mark.parametrize("passing", [(503, {"error": "loading"}), (429, {"error": "busy"}), DROPPED])
def test_a_passing_failure_is_tried_again(server: FakeServer, passing: Any) -> None:
    """A server that is busy, or just restarting, answers at the next attempt."""
    server.answer("/x", passing, {"b": 2})
    assert post(server.url) == {"b": 2}


def test_a_wrong_request_is_not_tried_again(server: FakeServer) -> None:
    """What the server refuses once, it would refuse again."""
    server.answer("/x", (400, {"error": {"message": "bad stop"}}))
    with pytest.raises(ModelResponseError, match="400"):
        post(server.url)
    assert len(server.requests) == 1


def test_a_host_that_takes_no_connection_is_unreachable() -> None:
    """It is no slow answer: the host is down, and may come up again."""
    request = openai.DefaultAsyncHttpxClient().build_request("GET", "http://host")
    error = openai.APITimeoutError(request)
    assert isinstance(model_error(error, "http://host"), ModelTimeoutError)
    error.__cause__ = type("ConnectTimeout", (Exception,), {})()
    assert isinstance(model_error(error, "http://host"), ModelUnreachableError)


def test_a_server_says_when_to_come_back(server: FakeServer) -> None:
    """In seconds, with its refusal."""
    server.headers["Retry-After"] = "7"
    server.answer("/x", (429, {"error": {"message": "busy"}}))
    with pytest.raises(ModelUnavailableError, match=r"429.*busy") as caught:
        post(server.url, retry=NO_RETRY)
    assert caught.value.retry_after == 7


def test_only_so_many_requests_are_under_way(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others wait for their turn here, where a timeout does not run for them."""
    monkeypatch.setattr("rsd_graph.models.http.CONCURRENCY", 2)
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
