"""Deadlines and sizes: no server holds up a run for longer, or fills more memory, than its request explains."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from rsd_graph import RSDSettings
from rsd_graph._internal import background
from rsd_graph.errors import ModelResponseError, ModelTimeoutError, ModelUnreachableError
from rsd_graph.models import http, retries
from rsd_graph.models.characters import LONGEST_TOKEN, MOST_EXTRA
from rsd_graph.models.llamacpp import LlamaCpp
from rsd_graph.models.vllm import VLLM
from tests.conftest import FakeServer

HEADERS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@contextmanager
def raw_server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """The address of a server that does with each connection whatever it likes."""
    listening = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                threading.Thread(target=handle, args=(connection,), daemon=True).start()

    def handle(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            serve(connection)

    threading.Thread(target=accept, daemon=True).start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()


def generate(model: VLLM | LlamaCpp, **settings: Any) -> str:
    async def run() -> str:
        try:
            (step,) = await model.generate([HumanMessage("2+2?")], "", settings=RSDSettings(**settings))
            return step.text
        finally:
            await model.aclose()

    return asyncio.run(run())


def drip(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(HEADERS + b"Content-Length: 1000\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.02)


@pytest.mark.parametrize("client", [VLLM, LlamaCpp])
def test_one_byte_at_a_time_is_no_answer(client: type[VLLM | LlamaCpp]) -> None:
    """The timeout is for all of the answer, not for the next byte."""
    began = time.monotonic()
    with raw_server(drip) as url, pytest.raises(ModelTimeoutError, match="did not answer in time"):
        generate(client(url, timeout=0.3))
    assert time.monotonic() - began < 3


def test_all_requests_of_a_step_share_its_time(server: FakeServer) -> None:
    """Rendering the chat takes from the same seconds as the step itself."""

    def slow(answer: dict[str, Any]) -> Callable[[Any], dict[str, Any]]:
        def answering(_: Any) -> dict[str, Any]:
            time.sleep(0.4)
            return answer

        return answering

    server.answer("/apply-template", slow({"prompt": "p"}))
    server.answer("/completion", slow({"content": "x", "stop_type": "eos"}))
    assert generate(LlamaCpp(server.url, timeout=5)) == "x"
    with pytest.raises(ModelTimeoutError):
        generate(LlamaCpp(server.url, timeout=0.6))


def test_the_time_of_a_failed_attempt_is_given_back(server: FakeServer) -> None:
    """A server that restarts has all the time for its second attempt."""

    def fails_late(_: Any) -> tuple[int, dict[str, Any]]:
        time.sleep(0.3)
        return (503, {})

    server.answer("/apply-template", {"prompt": "p"})
    server.answer("/completion", fails_late, fails_late, {"content": "x", "stop_type": "eos"})
    assert generate(LlamaCpp(server.url, timeout=0.5)) == "x"


def test_an_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """After as many bytes as the request explains, chunked or compressed; errors are read in part."""
    monkeypatch.setattr(http, "ANY_ANSWER", 100_000)
    monkeypatch.setattr(http, "PER_TOKEN", 10)
    sent = 0

    def endless(connection: socket.socket) -> None:
        nonlocal sent
        connection.recv(65536)
        connection.sendall(HEADERS + b"\r\n")
        while True:
            sent += connection.send(b"[" * 65536)

    with raw_server(endless) as url, pytest.raises(ModelResponseError, match=r"sends more than \d+ bytes"):
        generate(LlamaCpp(url))
    assert sent < 50_000_000

    def refused(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad\r\n\r\n")
        while True:
            connection.sendall(b"no " * 65536)

    with raw_server(refused) as url, pytest.raises(ModelResponseError, match="400: no no"):
        generate(LlamaCpp(url))


def test_deep_nesting_is_an_error(server: FakeServer) -> None:
    """The JSON parser's own limit becomes an error that names the server."""
    body = b"[" * 200_000
    server.answer("/apply-template", HEADERS + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    with pytest.raises(ModelResponseError, match="/apply-template answered with something that cannot be read"):
        generate(LlamaCpp(server.url))


def test_a_text_longer_than_its_tokens_is_refused(server: FakeServer) -> None:
    """512 tokens cannot be 200,000 characters: the server ignores the limit. What they can be is kept."""
    server.answer("/v1/models", {"data": [{"id": "m"}]})
    server.answer("/apply-template", {"prompt": "p"})
    for text, fits in (("x" * 200_000, False), ("x" * LONGEST_TOKEN * (512 + MOST_EXTRA), True)):
        choice = {"text": text, "finish_reason": "stop", "stop_reason": None}
        server.answer("/v1/completions", {"choices": [choice]})
        server.answer("/completion", {"content": text, "stop_type": "eos"})
        for model in (VLLM(server.url, template=lambda _: "p"), LlamaCpp(server.url)):
            if fits:
                assert generate(model) == text
            else:
                with pytest.raises(ModelResponseError, match="200000 characters, and was asked for 512 tokens"):
                    generate(model)


def test_a_request_that_stops_the_server_is_given_up(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It drops each time it has the request: three times, though other requests are answered."""
    monkeypatch.setattr(retries, "WAITING", True)
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.001)
    server.answer("/apply-template", {"prompt": "p"})
    server.answer("/completion", {"content": "x", "stop_type": "eos"})
    model = LlamaCpp(server.url)
    (step,) = background.run(model.generate([HumanMessage("hi")], "", settings=RSDSettings()))
    assert step.text == "x"
    server.answer("/completion", b"")
    with pytest.raises(ModelUnreachableError, match=r"dropped the connection .* 3 times with this request"):
        generate(model)
    assert len(server.bodies("/completion")) == 4


def test_a_server_that_restarts_is_still_waited_for(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """One drop as it stops, then refusals for longer than three attempts, then the answer."""
    monkeypatch.setattr(retries, "WAITING", True)
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.001)
    server.answer("/apply-template", {"prompt": "p"})
    server.answer("/completion", b"", *[(503, {})] * 5, {"content": "x", "stop_type": "eos"})
    assert generate(LlamaCpp(server.url)) == "x"
