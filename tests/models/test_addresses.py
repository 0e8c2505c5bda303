"""Addresses, proxies, keys and passwords: one line where they are wrong, and never a secret in it."""

import asyncio
import base64
import socket
import sys
import time
import traceback
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from pydantic import RootModel, SecretStr

from rsd_graph import Generation, RSDSettings
from rsd_graph.config import load_config
from rsd_graph.errors import ConfigurationError, ModelResponseError, ModelUnreachableError, RSDError
from rsd_graph.models import connections
from rsd_graph.models.http import ModelServer
from rsd_graph.models.llamacpp import LlamaCpp
from rsd_graph.models.retries import NO_RETRY
from rsd_graph.models.vllm import VLLM
from rsd_graph.rewards import process_reward
from rsd_graph.rewards.judge import JudgeReward, served_judge
from tests.conftest import FakeServer
from tests.models.test_limits import raw_server

KEY = "sk-very-secret-0123456789"


class Anything(RootModel[dict[str, Any]]):
    pass


def post(url: str, **options: Any) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        server = ModelServer(url, **options)
        try:
            return (await server.post("/x", {"a": 1}, Anything)).root
        finally:
            await server.aclose()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://host:99999", "port '99999'"),
        ("http://::1:8000", r"http://\[::1\]:8000"),
        ("http://[::1", r"brackets, as in http://\[::1\]:8000"),
        ("host:8000", "host:8000"),
        ("ftp://host", "host:8000"),
        ("http://", "host:8000"),
        ("http://host:0", "port '0'"),
        ("http://host:port", "port 'port'"),
        ("http://host name:1", "no spaces"),
        ("http://host\n:1", "no spaces"),
        ("http://host:1?key=1", r"no \?"),
        ("", "host:8000"),
    ],
)
def test_what_is_no_address_is_refused_in_one_line(url: str, message: str) -> None:
    """By each client, before anything is sent, and in `rsd.toml`."""
    for make in (VLLM, LlamaCpp, process_reward, lambda url: served_judge(url, model="m")):
        with pytest.raises(ConfigurationError, match=rf"^[^\n]*{message}[^\n]*$"):
            make(url)
    if url:
        with pytest.raises(ConfigurationError, match=rf"^[^\n]*{message}[^\n]*$"):
            load_config(None, {"draft": {"url": url}})


@pytest.mark.parametrize("url", ["http://me:hunter22@host:99999", "http://me:hunter22@::1:80", "http://me:hun/ter22@x"])
def test_a_password_in_a_wrong_address_is_not_shown(url: str) -> None:
    """Neither by a client nor by `rsd.toml`."""
    for make in (lambda: VLLM(url), lambda: load_config(None, {"draft": {"url": url}})):
        with pytest.raises(ConfigurationError) as caught:
            make()
        assert "hun" not in str(caught.value)


def test_user_and_password_are_sent_and_never_shown(server: FakeServer) -> None:
    """As basic authentication, unless there is a key."""
    address = server.url.replace("http://", "http://me:hunter%2022@")
    server.answer("/x", {})
    post(address)
    post(address, api_key=KEY)
    basic = base64.b64encode(b"me:hunter 22").decode()
    assert [each["authorization"] for each in server.received] == [f"Basic {basic}", f"Bearer {KEY}"]
    for client in (VLLM(address), LlamaCpp(address), process_reward(address)):
        assert client.name == server.url
    server.answer("/x", (401, {"error": f"wrong: {basic} is me:hunter 22"}))
    with pytest.raises(ModelResponseError) as caught:
        post(address)
    assert "hunter" not in str(caught.value)
    assert basic not in str(caught.value)
    with pytest.raises(ModelUnreachableError) as gone:
        post("http://me:hunter22@127.0.0.1:1", retry=NO_RETRY)
    assert "hunter" not in str(gone.value)


@pytest.mark.parametrize("key", [f"{KEY}\n", f" {KEY}\r\n", f"{KEY}\t"])
def test_white_space_around_a_key_is_dropped(server: FakeServer, key: str) -> None:
    """A key read from a file ends in a line break."""
    server.answer("/x", {})
    post(server.url, api_key=key)
    assert server.received[0]["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("key", ["sk-very\nsecret", "sk-very secret", "sk-verysécret", "sk-very\x00secret"])
def test_a_key_that_cannot_be_sent_is_refused_unseen(key: str) -> None:
    """The message says which setting it is, and not what it holds."""
    with pytest.raises(ConfigurationError, match=r"^the API key for http://host .*`api_key`") as caught:
        VLLM("http://host", api_key=key)
    assert "very" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        (401, {"error": {"message": f"Incorrect API key: {KEY}"}}),
        (400, {"detail": f"header was Bearer {KEY}"}),
        (500, "x" * 290 + KEY),
        {"error": f"{KEY} is unknown"},
        [KEY],
        f"HTTP/1.1 200 OK\r\nContent-Length: {len(KEY)}\r\nContent-Type: text/html\r\n\r\n{KEY}".encode(),
    ],
)
def test_a_key_that_the_server_repeats_is_not_shown(server: FakeServer, answer: Any) -> None:
    """Not even in part, in whichever answer: errors end up in logs and checkpoints."""
    server.answer("/x", answer)
    with pytest.raises(RSDError) as caught:
        post(server.url, api_key=KEY, retry=NO_RETRY)
    assert "secret" not in str(caught.value)
    assert "sk-" not in str(caught.value)


def test_a_judges_key_is_not_shown(server: FakeServer) -> None:
    """Neither of our own judge, nor of a chat model that a user passes."""
    server.answer("/v1/chat/completions", (401, {"error": {"message": f"Incorrect API key: {KEY}"}}))

    async def ask(judge: JudgeReward) -> None:
        try:
            await judge.score([HumanMessage("?")], [], [Generation("4", "eos")])
        finally:
            await judge.aclose()

    import openai

    client = openai.DefaultAsyncHttpxClient()
    chat = ChatOpenAI(
        base_url=f"{server.url}/v1", api_key=SecretStr(KEY), model="m", max_retries=0, http_async_client=client
    )
    for judge in (served_judge(server.url, model="m", api_key=KEY), JudgeReward(chat, close=client.aclose)):
        with pytest.raises(ModelResponseError, match=r"401: Incorrect API key: \[redacted\]") as caught:
            asyncio.run(ask(judge))
        assert KEY not in "".join(traceback.format_exception(caught.value))


def test_an_answer_that_repeats_the_key_is_not_quoted_in_a_traceback(server: FakeServer) -> None:
    """What cannot be read is often a page that shows the request."""
    server.answer("/apply-template", {"prompt": [f"Bearer {KEY}"]})
    with pytest.raises(ModelResponseError, match="unexpected") as caught:
        asyncio.run(ask_once(server.url))
    assert KEY not in "".join(traceback.format_exception(caught.value))


async def ask_once(url: str) -> None:
    """One step, with a key."""
    model = LlamaCpp(url, api_key=KEY)
    try:
        await model.generate([HumanMessage("?")], "", settings=RSDSettings())
    finally:
        await model.aclose()


@pytest.mark.parametrize("url", ["me:pa55word@host:1", "http://host:1/?key=pa55word", "http:\\\\me:pa55word@host"])
def test_what_is_refused_is_shown_without_a_password(url: str) -> None:
    """However malformed it is."""
    with pytest.raises(ConfigurationError) as caught:
        LlamaCpp(url)
    assert "pa55word" not in str(caught.value)


def test_the_environments_openai_settings_stay_here(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Organization, project, headers, key and address of OpenAI's own are nobody else's business."""
    for name in ("API_KEY", "ORG_ID", "ORGANIZATION", "PROJECT_ID", "ADMIN_KEY", "WEBHOOK_SECRET"):
        monkeypatch.setenv(f"OPENAI_{name}", "mine")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Mine: mine")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("OPENAI_PROXY", "http://127.0.0.1:1")
    server.answer("/v1/models", {"data": [{"id": "m"}]})
    server.answer("/tokenize", {"tokens": [1]})
    server.answer("/classify", {"data": [{"probs": [0.0]}], "usage": {}})
    server.answer("/apply-template", {"prompt": "p"})
    server.answer("/v1/completions", {"choices": [{"text": "x", "finish_reason": "length"}]})
    server.answer("/completion", {"content": "x", "stop_type": "eos"})
    top = [{"token": "Yes", "logprob": -0.1}]
    server.answer(
        "/v1/chat/completions", {"choices": [{"message": {}, "logprobs": {"content": [{"top_logprobs": top}]}}]}
    )

    async def run() -> None:
        for model in (VLLM(server.url), LlamaCpp(server.url)):
            await model.generate([HumanMessage("?")], "", settings=RSDSettings())
            await model.aclose()
        for reward in (process_reward(server.url, kind="skywork"), served_judge(server.url, model="m")):
            await reward.score([HumanMessage("?")], [], [Generation("4", "eos")])
            await reward.aclose()

    asyncio.run(run())
    assert {path for path, _ in server.requests} >= {
        "/v1/completions",
        "/completion",
        "/classify",
        "/v1/chat/completions",
    }
    assert not [headers for headers in server.received if "mine" in str(headers.values())]


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "socks4://127.0.0.1:1", "nonsense://x"])
def test_a_proxy_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """In one line; this machine's servers do without."""
    monkeypatch.setitem(sys.modules, "aiohttp_socks", None)
    monkeypatch.setenv("ALL_PROXY", proxy)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(ConfigurationError, match=r"^the environment names a (SOCKS )?proxy[^\n]*ALL_PROXY[^\n]*$"):
        post("http://models.example")
    with pytest.raises(ModelUnreachableError):
        post("http://127.0.0.1:1", retry=NO_RETRY)


def test_tls_and_plain_http_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, in both directions, and without asking again: the address has the wrong scheme."""
    monkeypatch.setattr(connections, "CONNECT_SECONDS", 0.5)

    def answers_anything(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    def waits_for_a_line(_: socket.socket) -> None:
        time.sleep(5)

    def speaks_tls(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"\x15\x03\x01\x00\x02\x02\x46")

    began = time.monotonic()
    for serve in (answers_anything, waits_for_a_line):
        with (
            raw_server(serve) as url,
            pytest.raises(ModelUnreachableError, match=r"no TLS connection .* write http://"),
        ):
            post(url.replace("http://", "https://"))
    with raw_server(speaks_tls) as url, pytest.raises(ModelUnreachableError, match=r"speak TLS.* write https://"):
        post(url)
    assert time.monotonic() - began < 4
