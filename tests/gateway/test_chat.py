"""What happens to a run when its client, its models or the gateway itself fail."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest

from rsd_graph import create_rsd_graph
from rsd_graph.errors import (
    ContextOverflowError,
    ModelResponseError,
    ModelTimeoutError,
    ModelUnavailableError,
    ModelUnreachableError,
    RewardError,
)
from rsd_graph.gateway import Limits, chat
from rsd_graph.models.llamacpp import LlamaCpp
from rsd_graph.testing import ScriptedModel, ScriptedReward
from tests.gateway.hanging import hanging_server
from tests.gateway.serving import ask, client, graph_of, running, step

SECRET = "http://10.1.2.3:8000 said: traceback in /srv/models"

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class Slow:
    """A model that takes its time, and knows how many of its calls run."""

    name = "slow"

    def __init__(self, seconds: float, text: str = "one") -> None:
        self.running = 0
        self.calls = 0
        self._seconds = seconds
        self._text = text

    async def generate(self, messages: Any, response: str, *, settings: Any, n: int = 1) -> list[Any]:  # noqa: ARG002
        self.running += 1
        self.calls += 1
        try:
            await asyncio.sleep(self._seconds)
        finally:
            self.running -= 1
        return [step("more" if response else self._text)]


def slow_graph(model: Slow) -> Any:
    return create_rsd_graph(model, model, ScriptedReward([1.0]))


def until(condition: Any) -> None:
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < 20
        time.sleep(0.005)


def idle(url: str) -> bool:
    """Whether no run is in progress."""
    return "rsd_active_runs 0.0" in httpx2.get(f"{url}/metrics").text


def raw_request(url: str, **fields: Any) -> socket.socket:
    """A connection over which a request has been sent."""
    body = json.dumps(ask("p", **fields)).encode()
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", int(url.rpartition(":")[2])))
    connection.sendall(HEAD % len(body) + body)
    return connection


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_stops_its_run_and_its_requests(stream: bool) -> None:
    """Within a second, the model server has no request of it any more."""
    with hanging_server() as models:
        model = LlamaCpp(models.url)
        with running(create_rsd_graph(model, model, ScriptedReward([1.0]))) as url:
            connections = [raw_request(url, stream=stream) for _ in range(3)]
            models.wait_for(open_requests=3)
            for connection in connections:
                connection.close()
            assert models.wait_for(open_requests=0) < 1
            until(lambda: idle(url))
            assert models.taken == 3
        asyncio.run(model.aclose())


def test_the_official_client_can_leave_a_stream() -> None:
    """Closing it, as its context manager does, ends the run."""
    model = Slow(0.02)
    with running(slow_graph(model)) as url:
        with client(url).chat.completions.create(**ask("p", stream=True)) as chunks:
            for chunk in chunks:
                if chunk.choices[0].delta.content:
                    break
        until(lambda: idle(url))
        calls = model.calls
        time.sleep(0.1)
        assert model.calls == calls


def test_other_runs_go_on_when_one_client_leaves() -> None:
    """They share nothing but the models."""
    model = Slow(0.3)
    with running(slow_graph(model)) as url:
        leaving = raw_request(url)
        until(lambda: model.running == 1)
        threading.Timer(0.1, leaving.close).start()
        answer = client(url).chat.completions.create(**ask("p", extra_body={"rsd": {"max_steps": 2}}))
    assert answer.choices[0].message.content == "one\n\nmore"


def test_silence_is_broken_by_comments() -> None:
    """Proxies and clients see that the connection is alive; a client reads nothing of it."""
    with running(slow_graph(Slow(0.3)), limits=Limits(ping_seconds=0.1)) as url:
        asked = ask("p", stream=True, rsd={"max_steps": 1})
        lines = httpx2.post(f"{url}/v1/chat/completions", json=asked).text.splitlines()
        assert lines.count(": ping") >= 2
        asked = ask("p", stream=True, extra_body={"rsd": {"max_steps": 1}})
        assert [chunk.choices[0].delta.content for chunk in client(url).chat.completions.create(**asked)][1] == "one"


@pytest.mark.parametrize("stream", [False, True])
def test_a_run_that_takes_too_long_is_ended(stream: bool) -> None:
    """504 before anything is sent; in a stream, an error in its place."""
    model = Slow(30)
    with running(slow_graph(model), limits=Limits(seconds=0.3, ping_seconds=0.1)) as url:
        with pytest.raises(openai.APIError, match=r"not complete within 0\.3 seconds") as raised:
            list(client(url).chat.completions.create(**ask("p", stream=stream)))
        assert raised.value.code == "timeout"
        assert stream or isinstance(raised.value, openai.InternalServerError)
        until(lambda: model.running == 0)


def test_more_requests_than_allowed_are_told_to_come_back() -> None:
    """429 with Retry-After; the client's own retries then succeed."""
    model = Slow(0.3)
    with running(slow_graph(model), limits=Limits(runs=1)) as url:
        held = raw_request(url, rsd={"max_steps": 1})
        until(lambda: model.running == 1)
        with pytest.raises(openai.RateLimitError) as raised:
            client(url).chat.completions.create(**ask("p"))
        assert raised.value.response.headers["retry-after"] == "1"
        patient = client(url, max_retries=3)
        answer = patient.chat.completions.create(**ask("p", extra_body={"rsd": {"max_steps": 1}}))
        assert answer.choices[0].message.content == "one"
        held.close()


def test_a_place_is_free_as_soon_as_the_client_has_its_answer() -> None:
    """A client that asks one thing after another is never one too many."""
    with running(graph_of([step("one", "eos")]), limits=Limits(runs=1)) as url, httpx2.Client() as http:
        for number in range(60):
            asked = ask("p", stream=number % 2 == 0)
            assert http.post(f"{url}/v1/chat/completions", json=asked).status_code == 200


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ModelUnreachableError(SECRET), 502),
        (ModelResponseError(SECRET), 502),
        (ModelUnavailableError(SECRET), 503),
        (ModelTimeoutError(SECRET), 504),
        (RewardError(SECRET), 502),
        (RuntimeError(SECRET), 500),
        (TimeoutError(SECRET), 500),
        (ConnectionResetError(SECRET), 500),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_of_models_leak_nothing(error: Exception, status: int, stream: bool) -> None:
    """The client learns what kind it was; addresses and messages stay in the log."""
    model = ScriptedModel([error])
    with running(create_rsd_graph(model, model, ScriptedReward([1.0]))) as url:
        answer = httpx2.post(f"{url}/v1/chat/completions", json=ask("p", stream=stream))
    assert answer.status_code == status
    assert answer.json()["error"]["type"] == "server_error"
    assert answer.headers["x-request-id"] in answer.json()["error"]["message"]
    for part in ("10.1.2.3", "srv", "Traceback", "File"):
        assert part not in answer.text


def test_an_error_in_the_middle_of_a_stream_is_told_in_it() -> None:
    """After the steps that were kept, as an error of the client's own class; the stream ends as streams do."""
    draft = ScriptedModel([step("one"), ModelUnreachableError(SECRET)])
    with running(create_rsd_graph(draft, draft, ScriptedReward([1.0]))) as url:
        chunks = client(url).chat.completions.create(**ask("p", stream=True))
        assert [next(chunks).choices[0].delta.content for _ in range(2)] == ["", "one"]
        with pytest.raises(openai.APIError, match="a model server cannot be reached"):
            next(chunks)
    draft = ScriptedModel([step("one"), ModelUnreachableError(SECRET)])
    with running(create_rsd_graph(draft, draft, ScriptedReward([1.0]))) as url:
        text = httpx2.post(f"{url}/v1/chat/completions", json=ask("p", stream=True)).text
    assert text.endswith("data: [DONE]\n\n")
    assert SECRET not in text


def test_a_model_server_that_dies_in_the_middle_is_an_error_of_that_run_alone(server: Any) -> None:
    """Its next run works again."""

    def said(text: str, stop_type: str = "word") -> dict[str, Any]:
        return {"content": text, "stop_type": stop_type, "tokens_evaluated": 10, "tokens_predicted": 4}

    answers: Iterator[Any] = iter([said("one"), *[b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"] * 4])
    server.answer("/props", {"default_generation_settings": {}})
    server.answer("/apply-template", {"prompt": "p"})
    server.answer("/completion", lambda _: next(answers, said("again", "eos")))
    model = LlamaCpp(server.url)
    with running(create_rsd_graph(model, model, ScriptedReward([1.0]))) as url:
        with pytest.raises(openai.APIError, match="a model server"):
            list(client(url).chat.completions.create(**ask("p", stream=True)))
        list(answers)
        assert client(url).chat.completions.create(**ask("p")).choices[0].message.content == "again"
    asyncio.run(model.aclose())


def test_a_conversation_that_fits_no_model() -> None:
    """The run ends with `length`, as the graph's own does."""
    model = ScriptedModel([ContextOverflowError("too long")])
    with running(create_rsd_graph(model, model, ScriptedReward([1.0]))) as url:
        answer = client(url).chat.completions.create(**ask("p"))
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("", "length")


def test_a_stopped_gateway_ends_its_streams() -> None:
    """With an error that says why, after the time in which they could have ended by themselves."""
    lines: list[str] = []
    model = Slow(0.1)
    with running(slow_graph(model), grace=1) as url:
        asked = ask("p", stream=True, rsd={"max_steps": 1000})

        def read() -> None:
            with httpx2.stream("POST", f"{url}/v1/chat/completions", json=asked, timeout=10) as answer:
                lines.extend(line for line in answer.iter_lines() if line)

        reading = threading.Thread(target=read)
        reading.start()
        until(lambda: model.calls > 2)
    reading.join()
    assert "the gateway is shutting down" in lines[-2]
    assert lines[-1] == "data: [DONE]"
    assert model.running == 0


def test_a_client_that_reads_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its run waits for it, and is cancelled in the end."""
    monkeypatch.setattr(chat, "READ_AHEAD", 1)  # LangGraph looks for messages in every character: each step is slow
    model = Slow(0.001, text="x" * 8_000_000)
    with running(slow_graph(model), limits=Limits(stalled_seconds=0.3)) as url:
        with raw_request(url, stream=True, rsd={"max_steps": 10_000, "max_tokens": 10**9}):
            until(lambda: model.calls)
            until(lambda: idle(url))
        assert 'rsd_runs_total{stop="broken_off"} 1.0' in httpx2.get(f"{url}/metrics").text
    assert model.calls < 10


def test_a_body_that_is_too_long_is_refused() -> None:
    """50 MB: 413 after the client has sent it, and nothing of it is kept."""
    with running(graph_of([step("one", "eos")])) as url:
        with pytest.raises(openai.APIStatusError) as raised:
            client(url).chat.completions.create(**ask("x" * 50_000_000))
        assert raised.value.status_code == 413
        assert client(url).chat.completions.create(**ask("p")).choices[0].message.content == "one"


def test_a_body_that_never_ends_is_refused() -> None:
    """408: a client that sends a byte now and then does not hold a place."""
    with running(graph_of([step("one", "eos")]), limits=Limits(upload_seconds=0.2)) as url:
        connection = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))
        connection.sendall(HEAD % 99 + b"{")
        connection.settimeout(5)
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")
        connection.close()


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", None])
def test_only_json_is_read(kind: str | None) -> None:
    """415: a page in a browser cannot start runs on the user's own machine with a plain form."""
    headers = {} if kind is None else {"content-type": kind}
    with running(graph_of([step("one", "eos")])) as url:
        answer = httpx2.post(f"{url}/v1/chat/completions", content=json.dumps(ask("p")).encode(), headers=headers)
    assert answer.status_code == 415
    assert "application/json" in answer.json()["error"]["message"]
