import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from rsd_graph.cli import app

RIGHT = {"question": "2+2?", "answer": "It is 4.\n#### 4"}
WRONG = {"id": "b", "problem": "1/2 + 1/4?", "answer": "\\frac{3}{4}", "solution": "So it is $\\boxed{\\frac{2}{6}}$."}


def check(*words: object) -> Result:
    return CliRunner().invoke(app, ["check-data", *map(str, words)])


@pytest.fixture
def file(tmp_path: Path) -> Any:
    def write(*rows: Any) -> Path:
        made = tmp_path / "problems.jsonl"
        made.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return made

    return write


def test_what_does_not_grade_is_listed(file: Any) -> None:
    """With its id and both answers; scripts see it by the exit code. Standard output holds nothing else."""
    run = check(file(RIGHT, WRONG))
    assert run.exit_code == 1
    assert run.stdout.splitlines() == [
        r"b: the solution says '\\frac{2}{6}', the reference is '\\frac{3}{4}'",
        "1 of 2 problems do not grade as right; 2 have a worked solution",
    ]
    assert "grading: 100 %" in run.stderr


def test_a_good_file_passes(file: Any) -> None:
    """Also by the name of its data set."""
    run = check("gsm8k", "--data", file(RIGHT))
    assert (run.exit_code, run.stdout) == (0, "0 of 1 problems do not grade as right; 1 have a worked solution\n")


def test_a_broken_line_is_named_or_skipped(file: Any) -> None:
    """As by the other commands that read data sets."""
    broken = file(RIGHT, {"question": "3+3?"})
    assert "line 2" in check(broken).stderr
    assert check(broken, "--skip-broken").exit_code == 0


def test_a_file_needs_a_data_set_that_is_known(file: Any) -> None:
    """The message says what to do."""
    run = check("gsm9k", "--data", file(RIGHT))
    assert run.exit_code == 1
    assert "pass the file alone" in run.stderr
