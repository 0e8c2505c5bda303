import subprocess
import sys
import time
from pathlib import Path

import httpx2

from tests.conftest import free_port

EXAMPLES = Path(__file__).parents[1] / "examples"


def lines_of(example: str) -> list[str]:
    """What the example prints with scripted models."""
    command = [sys.executable, str(EXAMPLES / example), "--fake"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_the_example_runs_with_scripted_models() -> None:
    """It streams a rejected draft, its replacement and the answer, then answers as a tool."""
    assert lines_of("solve.py") == [
        "     rejected (0.31)",
        "  target: In May she sold 48 / 2 = 24.",
        r"   draft: In all: \boxed{72}.",
        "  answer: 72",
        " as tool: 72",
    ]


def test_a_node_answers_within_a_conversation() -> None:
    """Its words are streamed; what is no problem goes elsewhere."""
    lines = lines_of("node.py")
    assert lines[1] == "rsd: Hello! Give me a problem."
    assert lines[3:6] == ["rsd: In May she sold 48 / 2 = 24.", "", r"In all: \boxed{72}."]


def test_an_agent_uses_the_graph_beside_another_tool() -> None:
    """The tool's message has the answer."""
    lines = lines_of("agent.py")
    assert "Final answer: 72" in lines
    assert "kept: Natalia sells clips" in lines
    assert lines[-1] == "Done."


def test_a_chain_streams_the_response() -> None:
    """And the answer is read from it."""
    assert lines_of("chain.py") == ["In May she sold 48 / 2 = 24.", "", r"In all: \boxed{72}.", "answer: 72"]


def test_the_gateway_client_streams_from_a_gateway_of_its_own() -> None:
    """The text as it grows, then who wrote each step."""
    command = [sys.executable, str(EXAMPLES / "gateway_client.py"), "--fake"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == [
        "In May she sold 48 / 2 = 24.",
        "",
        r"In all: \boxed{72}.",
        "",
        "0 tokens written by all models",
        "step 1: target, reward 0.31",
        "step 2: draft, reward 0.95",
    ]


def test_the_fastapi_application_serves_both() -> None:
    """The model under the path where it is mounted, and a route of its own."""
    port = free_port()
    command = [sys.executable, str(EXAMPLES / "fastapi_app.py"), "--fake", "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            while not _healthy(f"http://127.0.0.1:{port}/rsd/health"):
                assert process.poll() is None, process.communicate()
            own = httpx2.post(f"http://127.0.0.1:{port}/answer", json={"problem": "p"}).json()
            body = {"model": "rsd", "messages": [{"role": "user", "content": "p"}]}
            asked = httpx2.post(f"http://127.0.0.1:{port}/rsd/v1/chat/completions", json=body).json()
        finally:
            process.terminate()
    assert own == {"answer": "72", "authors": ["target", "draft"]}
    assert asked["choices"][0]["message"]["content"] == r"In all: \boxed{72}."


def _healthy(url: str) -> bool:
    try:
        return httpx2.get(url).status_code == 200
    except httpx2.ConnectError:
        time.sleep(0.05)
        return False
