import subprocess
import sys
from pathlib import Path

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
