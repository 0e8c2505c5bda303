import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_example_runs_with_scripted_models() -> None:
    """It streams a rejected draft, its replacement and the answer, then answers as a tool."""
    command = [sys.executable, str(EXAMPLES / "solve.py"), "--fake"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == [
        "     rejected (0.31)",
        "  target: In May she sold 48 / 2 = 24.",
        r"   draft: In all: \boxed{72}.",
        "  answer: 72",
        " as tool: 72",
    ]
