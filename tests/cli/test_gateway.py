"""The command as users run it, against servers that speak llama.cpp's protocol, and with real small weights."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openai import OpenAI
from typer.testing import CliRunner

from rsd_graph.cli import app
from tests.conftest import FakeServer, free_port
from tests.gateway.serving import ask


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def llamacpp(server: FakeServer) -> str:
    server.answer("/props", {"default_generation_settings": {}})
    server.answer("/apply-template", {"prompt": "p"})
    said = {"content": r"\boxed{4}", "stop_type": "eos", "tokens_evaluated": 10, "tokens_predicted": 4}
    server.answer("/completion", {**said, "completion_probabilities": [{"logprob": -0.1}]})
    return server.url


def _answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/health").status_code == 200
    except httpx2.ConnectError:
        time.sleep(0.05)
        return False


@contextmanager
def gateway(*arguments: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """The command, once it answers, and its address."""
    port = str(free_port())
    command = [sys.executable, "-m", "rsd_graph.cli", "gateway", "--port", port, *arguments]
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        guard = threading.Timer(60, process.kill)
        guard.start()
        try:
            url = f"http://127.0.0.1:{port}"
            while not _answers(url):
                assert process.poll() is None, process.communicate()
            yield process, url
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            process.wait()
            guard.cancel()


def test_the_models_of_the_options_are_served(server: FakeServer) -> None:
    """As `rsd solve` would use them; Ctrl-C ends it with 0."""
    url = llamacpp(server)
    with gateway("--draft", url, "--target", url, "--name", "mine", "--max-steps", "7") as (process, address):
        with OpenAI(base_url=f"{address}/v1", api_key="none") as client:
            answer: Any = client.chat.completions.create(
                **ask("2+2?") | {"model": "mine"}, extra_body={"rsd": {"details": True}}
            )
        assert (answer.choices[0].message.content, answer.rsd["answer"]) == (r"\boxed{4}", "4")
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        output = process.stdout.read()
        assert process.wait() == 0
    assert output == f"ready: {address}/v1   (Ctrl-C stops it)\n"


def test_ctrl_c_ends_streams_cleanly(server: FakeServer) -> None:
    """A run that does not end by itself is told why; the command ends with 0, and prints no traceback."""
    url = llamacpp(server)
    release = threading.Event()
    server.answer("/completion", lambda _: (release.wait(30), {})[1])
    lines: list[str] = []
    with gateway("--draft", url, "--target", url) as (process, address):

        def read() -> None:
            with httpx2.stream("POST", f"{address}/v1/chat/completions", json=ask("p", stream=True), timeout=30) as own:
                for line in own.iter_lines():
                    if line == ": ping":
                        process.send_signal(signal.SIGINT)
                    lines.append(line)

        reading = threading.Thread(target=read)
        reading.start()
        assert process.wait() == 0
        reading.join()
        release.set()
        assert process.stdout is not None
        assert "Traceback" not in process.stdout.read()
    assert "the gateway is shutting down" in lines[-4]
    assert lines[-2] == "data: [DONE]"


def test_workers_share_the_address_and_count_together(small_weights: Path) -> None:
    """Each loads the models of its own; `/metrics` of any tells the runs of all."""
    weights = str(small_weights)
    with gateway(
        "--draft", weights, "--target", weights, "--workers", "2", "--max-steps", "1", "--max-tokens", "8"
    ) as (
        process,
        address,
    ):
        for _ in range(6):
            answer = httpx2.post(f"{address}/v1/chat/completions", json=ask("p"), timeout=60)
            assert answer.json()["choices"][0]["finish_reason"] == "length"
        pages = {httpx2.get(f"{address}/metrics").text for _ in range(4)}
        assert all('rsd_requests_total{status="200"} 6.0' in page for page in pages)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
        assert process.stdout is not None
        assert "rsd: each process loads models of its own" in process.stdout.read()


def test_only_a_key_opens_it_to_other_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one, an address beyond this machine is refused before anything is loaded."""
    monkeypatch.delenv("RSD_GATEWAY_KEY", raising=False)
    run = CliRunner().invoke(app, ["gateway", "--host", "0.0.0.0"])
    assert run.exit_code == 1
    assert "set the environment variable RSD_GATEWAY_KEY" in run.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threshold", "7"], "settings.threshold"),
        (["--host", "http://x"], "a host is a name or an IP address"),
        (["--workers", "0"], "--workers"),
        (["--config", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_wrong_options_are_named(arguments: list[str], message: str) -> None:
    """Before anything is loaded."""
    run = CliRunner().invoke(app, ["gateway", *arguments])
    assert run.exit_code in (1, 2)
    assert message in run.stderr


def test_an_address_in_use_is_told() -> None:
    """Before the models are loaded."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = CliRunner().invoke(app, ["gateway", "--port", str(taken.getsockname()[1])])
    assert run.exit_code == 1
    assert "in use" in run.stderr
