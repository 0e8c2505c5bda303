"""Recorded solutions, as JSON lines: what the measurements, the calibration and the training read.

Each line holds at least `{"problem": str, "correct": bool, "steps": [str]}`. A step may also be an object with `text`,
`finish` and `logprobs`, its tokens' log-probabilities, which the confidence reward needs; `reference` is the right
answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsd_graph.evaluation.json_lines import read_lines
from rsd_graph.state import Generation


@dataclass(frozen=True, slots=True)
class Solution:
    """One solution of one problem."""

    problem: str
    steps: tuple[Generation, ...]
    correct: bool
    """Whether its final answer is right: the weak label of all its steps."""
    reference: str = ""
    """The right answer, where it is known."""


def read_solutions(file: Path) -> list[Solution]:
    """The solutions in the file, those without any step left out.

    Raises:
        ConfigurationError: the file cannot be read, or a line is not a solution; the message names it.
    """
    return [each for each in read_lines(file, "a recorded solution", _solution) if each.steps]


def _solution(record: Any) -> Solution:
    if not isinstance(record["correct"], bool):
        raise TypeError("`correct` is true or false")
    steps = tuple(_step(step) for step in record["steps"])
    return Solution(str(record["problem"]), steps, record["correct"], str(record.get("reference", "")))


def _step(step: str | dict[str, Any]) -> Generation:
    if isinstance(step, str):
        return Generation(step, "delimiter")
    logprobs = step.get("logprobs")
    return Generation(
        step["text"], step.get("finish", "delimiter"), logprobs=None if logprobs is None else tuple(logprobs)
    )


def split_by_problem(solutions: Sequence[Solution], folds: int) -> list[tuple[list[Solution], list[Solution]]]:
    """Training and held-out part for each fold; all solutions of one problem stay together."""
    order = {problem: index for index, problem in enumerate(dict.fromkeys(each.problem for each in solutions))}
    return [
        (
            [each for each in solutions if order[each.problem] % folds != fold],
            [each for each in solutions if order[each.problem] % folds == fold],
        )
        for fold in range(folds)
    ]
