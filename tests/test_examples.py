import json
import subprocess
import sys
import time
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

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


def test_a_reward_of_ones_own_checks_arithmetic() -> None:
    """A wrong equation is rejected whatever the other reward says; of a chain of signs, it says nothing."""
    assert lines_of("custom_reward.py")[0] == "target (draft's reward 0.31): In May she sold 48 / 2 = 24."
    own = loaded("custom_reward").has_wrong_equation
    assert all(own(text) for text in ("12 * 15 = 170", "so 1,000 - 1 = 998.", "4 / 0 = 0", "10 / 3 = 3.4"))
    assert not any(own(text) for text in ("12 * 15 = 180", "10 / 3 = 3.33", "2 + 3 = 1 + 4", "x = 3", "1 + 2 + 3"))


def test_a_batch_survives_a_problem_that_cannot_be_solved(tmp_path: Path) -> None:
    """What an actor of the Ray job does with a batch, without Ray; and which problems the next job still has."""
    batch = loaded("ray_batch")
    with closing(batch.Solver(fake=True)) as solver:
        solved = solver({"id": [1, 2, 3], "problem": ["2 + 3?", "  ", "4 + 5?"]})
        again = solver({"id": [4], "problem": ["6 + 7?"]})
    assert solved["id"] == [1, 2, 3]
    assert solved["answer"] == ["72", None, "72"]
    assert "non-empty text" in solved["error"][1]
    assert (again["answer"], again["error"]) == (["72"], [None])
    problems = tmp_path / "problems.jsonl"
    problems.write_text("".join(json.dumps({"id": number, "problem": "p"}) + "\n" for number in range(1, 6)))
    answers = tmp_path / "answers"
    answers.mkdir()
    (answers / "part.json").write_text("".join(json.dumps({"id": number}) + "\n" for number in solved["id"]))
    assert [row["id"] for row in batch.unsolved(problems, answers)] == [4, 5]


def loaded(example: str) -> Any:
    """The example as a module."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        return import_module(example)
    finally:
        sys.path.pop(0)


def test_code_in_a_step_is_run() -> None:
    """In this machine's sandbox, and in one of the user's own."""
    for example in ("tools.py", "custom_sandbox.py"):
        lines = lines_of(example)
        assert lines[lines.index("   tool: ```output") + 1] == "83908970"
        assert lines[-1] == " answer: 83908970"


def test_functions_are_called() -> None:
    """Both calls of the step, and the results reach the models."""
    lines = lines_of("functions.py")
    assert [line for line in lines if line.isdigit()] == ["36", "85"]
    assert lines[-1] == " answer: 121"


def test_a_person_decides_about_a_rejected_step() -> None:
    """The scripted one takes the draft's."""
    assert lines_of("review.py") == [
        "step 1, the draft's (0.31): In May she sold 48 * 2 = 96.",
        "        the target's (0.95): In May she sold 48 / 2 = 24.",
        "  draft: In May she sold 48 * 2 = 96.",
        r"  draft: In all: \boxed{72}.",
        " answer: 72",
    ]


def test_a_sweep_tells_what_it_saved() -> None:
    lines = lines_of("sweep.py")
    assert [line.split("  ")[0] for line in lines[:-1]] == ["0.3", "0.5", "0.7", "0.9"]
    assert lines[-1].endswith("% saved")
