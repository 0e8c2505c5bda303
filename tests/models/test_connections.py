import asyncio
import gc
import logging
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any

import pytest
from pydantic import RootModel

from rsd_graph._internal import background
from rsd_graph.errors import ConfigurationError, ModelResponseError, ModelUnreachableError
from rsd_graph.models import connections
from rsd_graph.models.connections import concurrency, proxy_for
from rsd_graph.models.http import ModelServer
from rsd_graph.models.retries import NO_RETRY
from tests.conftest import FakeServer
from tests.models.test_limits import HEADERS, raw_server


class Anything(RootModel[dict[str, Any]]):
    pass


def post(url: str, times: int = 1, **options: Any) -> list[dict[str, Any]]:
    async def run() -> list[dict[str, Any]]:
        async with aclosing(ModelServer(url, **options)) as server:
            return [(await server.post("/x", {"a": 1}, Anything)).root for _ in range(times)]

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({}, "http://models.example", None),
        ({"HTTP_PROXY": "http://p:1"}, "http://models.example", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, "https://models.example", None),
        ({"HTTPS_PROXY": "p:1"}, "https://models.example", "http://p:1"),
        ({"ALL_PROXY": "http://p:1", "HTTP_PROXY": "http://q:1"}, "http://models.example", "http://q:1"),
        ({"ALL_PROXY": "socks5://p:1"}, "https://models.example:8443", "socks5://p:1"),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "example"}, "http://models.example:80", None),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "*"}, "http://models.example", None),
        ({"ALL_PROXY": "http://p:1"}, "http://127.0.0.1:1", None),
    ],
)
def test_the_environments_proxy_is_used(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str, proxy: str | None
) -> None:
    """By the address's scheme, except where NO_PROXY says so, and never for this machine."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == proxy


def test_a_proxys_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one that cannot be used."""
    monkeypatch.setenv("ALL_PROXY", "ftp://me:hunter22@p:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(ConfigurationError, match="cannot be used") as caught:
        proxy_for("http://models.example")
    assert "hunter22" not in str(caught.value)


def test_a_proxy_carries_the_request(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An HTTP proxy gets the whole address."""
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.answer("http://models.example/x", {"b": 2})
    assert post("http://models.example") == [{"b": 2}]


def test_a_socks_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the package for it; without, the error says which (`test_addresses`)."""
    pytest.importorskip("aiohttp_socks")
    greeted = threading.Event()

    def greet(connection: socket.socket) -> None:
        if connection.recv(1) == b"\x05":
            greeted.set()

    with raw_server(greet) as url:
        monkeypatch.setenv("ALL_PROXY", url.replace("http", "socks5h"))
        monkeypatch.delenv("NO_PROXY", raising=False)
        with pytest.raises(ModelUnreachableError):
            post("http://models.example", retry=NO_RETRY)
    assert greeted.is_set()


def test_one_connection_serves_many_requests() -> None:
    """It is kept open between them."""
    opened: list[int] = []

    def serve(connection: socket.socket) -> None:
        opened.append(1)
        while connection.recv(65536):
            connection.sendall(HEADERS + b"Content-Length: 2\r\n\r\n{}")

    with raw_server(serve) as url:
        assert post(url, times=5) == [{}] * 5
    assert len(opened) == 1


def test_a_connection_that_was_closed_while_idle_is_no_error() -> None:
    """The server closes after each answer, without a word: the next request opens another one."""

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(HEADERS + b"Content-Length: 2\r\n\r\n{}")

    async def run(url: str) -> None:
        async with aclosing(ModelServer(url, retry=NO_RETRY)) as server:
            for _ in range(5):
                await server.post("/x", {}, Anything)
                await asyncio.sleep(0.05)

    with raw_server(serve) as url:
        asyncio.run(run(url))


def test_a_redirect_is_followed_and_a_circle_is_not(server: FakeServer) -> None:
    """With the body, where the status keeps the method."""
    server.answer("/y", {"b": 2})
    server.headers["Location"] = "/y"
    server.answer("/x", (307, {}))
    assert post(server.url) == [{"b": 2}]
    assert server.bodies("/y") == [{"a": 1}]
    server.headers["Location"] = "/x"
    with pytest.raises(ModelResponseError, match="redirects again and again"):
        post(server.url)


def test_a_client_that_nobody_closes_ends_in_silence(
    server: FakeServer, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    """Examples and notebooks seldom close what they use."""
    server.answer("/x", {})

    async def run() -> None:
        client = ModelServer(server.url)
        await client.post("/x", {}, Anything)
        del client
        gc.collect()
        await asyncio.sleep(0.05)

    with caplog.at_level(logging.DEBUG, "asyncio"):
        asyncio.run(run())
        gc.collect()
    assert not [record for record in caplog.records if "Unclosed" in record.getMessage()]
    assert not list(recwarn)


def test_connections_end_with_their_loop(recwarn: pytest.WarningsRecorder) -> None:
    """A client that outlives `asyncio.run` leaves nothing open, and works in the next one."""
    opened: list[int] = []
    ended = threading.Semaphore(0)

    def serve(connection: socket.socket) -> None:
        opened.append(1)
        while connection.recv(65536):
            connection.sendall(HEADERS + b"Content-Length: 2\r\n\r\n{}")
        ended.release()

    with raw_server(serve) as url:
        client = ModelServer(url)
        for number in (1, 2):
            assert asyncio.run(client.post("/x", {}, Anything)).root == {}
            assert ended.acquire(timeout=5)
            assert len(opened) == number
    gc.collect()
    assert not list(recwarn)


def test_closing_reaches_the_connections_of_other_loops() -> None:
    ended = threading.Semaphore(0)

    def serve(connection: socket.socket) -> None:
        while connection.recv(65536):
            connection.sendall(HEADERS + b"Content-Length: 2\r\n\r\n{}")
        ended.release()

    with raw_server(serve) as url:
        client = ModelServer(url)
        background.run(client.post("/x", {}, Anything))
        asyncio.run(client.aclose())
        assert ended.acquire(timeout=5)


def test_loops_at_once_each_have_their_own(server: FakeServer) -> None:
    server.answer("/x", {"b": 2})
    client = ModelServer(server.url)

    async def ask() -> list[dict[str, Any]]:
        answers = await asyncio.gather(*(client.post("/x", {"a": 1}, Anything) for _ in range(20)))
        return [answer.root for answer in answers]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: asyncio.run(ask()), range(8))) == [[{"b": 2}] * 20] * 8


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_a_client_leaves_files_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that may open 1024 files cannot hold a thousand connections to each of three servers."""
    import resource

    for files, expected in ((1024, 256), (1_000_000, connections.MOST_CONCURRENT), (resource.RLIM_INFINITY, 2048)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, files=files: (files, files))
        assert concurrency() == expected
