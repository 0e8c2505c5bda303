"""What the tests share: small real weights, and a server that misbehaves on demand."""

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from rsd_graph.models import retries
from rsd_graph.models.weights import TINY, locate

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background: children would ignore Ctrl-C too
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("rsd", deadline=None)  # no test asserts a time, and machines are busy
settings.load_profile("rsd")

collect_ignore = [] if "RSD_TEST_VLLM" in os.environ else ["vllm"]  # `make test-vllm`


@pytest.fixture(scope="session")
def tiny_weights() -> Path:
    """A real model file, SmolLM2-135M, downloaded into the cache once."""
    return locate(TINY)


@pytest.fixture(scope="session")
def small_weights(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first layers and tokens of those weights: for tests in which a model has to run, but not to make sense."""
    from tests.small_model import write_small_model

    return write_small_model(tiny_weights, tmp_path_factory.mktemp("weights") / "small.gguf")


@pytest.fixture(scope="session")
def digit_weights(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, and all it says is 1 or 2, without end: for tests that need an answer, right or wrong."""
    from tests.small_model import write_small_model

    return write_small_model(tiny_weights, tmp_path_factory.mktemp("weights") / "digits.gguf", says=("1", "2"))


@dataclass
class Events:
    """A streamed answer."""

    values: Sequence[Any]
    """JSON values, one event each."""
    drop: bool = False
    """Whether the connection is dropped after the last of them."""
    reached: threading.Event | None = None
    """If given, the last event is sent when this is set."""


class FakeServer:
    """An HTTP server on loopback with scripted answers: it records the requests it gets."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.received: list[dict[str, str]] = []
        """The headers of each request, their names in lower case."""
        self.answers: dict[str, list[Any]] = {}
        self.headers: dict[str, str] = {}
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.answer({})

            def do_POST(self) -> None:
                self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def answer(self, body: dict[str, Any]) -> None:
                with suppress(BrokenPipeError, ConnectionResetError):  # the client gave up, as some tests intend
                    server._answer(self, body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, path: str, *answers: Any) -> None:
        """Give these answers at this path, one after another, the last one forever.

        An answer is a JSON value, or (status, JSON value), or bytes to send unchanged before the connection is dropped,
        or a function of the request's body that returns one of these, or `Events`.
        """
        self.answers[path] = list(answers)

    def bodies(self, path: str) -> list[dict[str, Any]]:
        """The request bodies sent to this path."""
        return [body for asked, body in self.requests if asked == path]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        self.requests.append((handler.path, body))
        self.received.append({name.lower(): value for name, value in handler.headers.items()})
        answers = self.answers.get(handler.path, [(404, {"error": {"message": "not found"}})])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if callable(answer):
            answer = answer(body)
        if isinstance(answer, bytes):
            handler.wfile.write(answer)
            handler.close_connection = True
            return
        if isinstance(answer, Events):
            self._stream(handler, answer)
            return
        status, value = answer if isinstance(answer, tuple) else (200, answer)
        content = json.dumps(value).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(content)))
        for name, text in self.headers.items():
            handler.send_header(name, text)
        handler.end_headers()
        handler.wfile.write(content)

    def _stream(self, handler: BaseHTTPRequestHandler, events: Events) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for index, value in enumerate(events.values):
            if events.reached is not None and index == len(events.values) - 1:
                assert events.reached.wait(20)
            said = b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"
            for half in (said[: len(said) // 2], said[len(said) // 2 :]):  # often in the middle of a character
                handler.wfile.write(f"{len(half):x}\r\n".encode() + half + b"\r\n")
        if events.drop:
            handler.close_connection = True
        else:
            handler.wfile.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries happen without waiting, and are few."""
    monkeypatch.setattr(retries, "WAITING", False)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A fake HTTP server."""
    fake = FakeServer()
    yield fake
    fake.close()
