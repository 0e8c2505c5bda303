"""Problems and recorded solutions that somebody else has written."""

import json
from pathlib import Path
from typing import Any

import pytest

from rsd_graph.data.problems import read_problems
from rsd_graph.data.solutions import read_solutions
from rsd_graph.errors import ConfigurationError


def solution(**changes: Any) -> dict[str, Any]:
    return {
        "problem": "p",
        "correct": True,
        "steps": [{"text": "s", "tokens": 2, "logprobs": [-0.5, -1e-3], **changes}],
    }


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (json.dumps(solution(logprobs=[float("nan"), -0.1])), "NaN is not a finite number"),
        (json.dumps(solution(logprobs=[float("-inf")])), "-Infinity is not a finite number"),
        (json.dumps(solution()).replace("-0.5", "-1e999"), "-1e999 is not a finite number"),
        (json.dumps(solution(logprobs=[0.5])), "`logprobs` must be logarithms"),
        (json.dumps(solution(logprobs=[None, -0.1])), "`logprobs` must be logarithms"),
        (json.dumps(solution(logprobs=["-0.1"])), "`logprobs` must be logarithms"),
        (json.dumps(solution(logprobs=[True])), "`logprobs` must be logarithms"),
        (json.dumps(solution(logprobs=[-(10**400)])), "too large"),
        (json.dumps(solution(logprobs=5)), "is not a recorded solution"),
        (json.dumps(solution(tokens=-1)), "`tokens` is a number of tokens"),
        (json.dumps(solution(tokens=10**30)), "`tokens` is a number of tokens"),
        (json.dumps(solution(tokens=True)), "`tokens` is a number of tokens"),
        (json.dumps(solution(tokens="5")), "`tokens` is a number of tokens"),
        (json.dumps(solution(finish=["eos"])), "`finish` must be one of"),
        ('{"problem": "p", "correct": true, "steps": ' + 100_000 * "[", "nested too deeply"),
        ('{"problem": "p", "correct": true, "steps": {"a": 1}}', "`steps` must be a list"),
    ],
)
def test_a_solution_that_is_none_is_named(line: str, why: str, tmp_path: Path) -> None:
    """By its line, and what is wrong with it, in one line."""
    file = tmp_path / "solutions.jsonl"
    file.write_text(json.dumps(solution()) + "\n" + line + "\n")
    with pytest.raises(ConfigurationError, match=r"solutions\.jsonl, line 2, is not a recorded solution: ") as caught:
        read_solutions(file)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_probability_that_was_rounded_is_one(tmp_path: Path) -> None:
    """Servers compute in single precision."""
    file = tmp_path / "solutions.jsonl"
    file.write_text(json.dumps(solution(logprobs=[1e-7, -0.5])))
    assert read_solutions(file)[0].steps[0].logprobs == (0.0, -0.5)


@pytest.mark.parametrize(
    "line",
    [
        '{"problem": "p", "answer": NaN}',
        '{"problem": "p", "answer": [1]}',
        '{"problem": "p", "answer": null}',
        '{"problem": ["p"], "answer": "1"}',
        "[[]]",
        100_000 * "[",
    ],
)
def test_a_problem_that_is_none_is_named(line: str, tmp_path: Path) -> None:
    """By its line."""
    file = tmp_path / "problems.jsonl"
    file.write_text('{"problem": "p", "answer": 4}\n' + line + "\n")
    with pytest.raises(ConfigurationError, match=r"problems\.jsonl, line 2, is not a problem") as caught:
        read_problems(file)
    assert "\n" not in str(caught.value)
