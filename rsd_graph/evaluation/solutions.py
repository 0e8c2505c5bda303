"""Recorded solutions, as JSON lines: what the measurements and the calibration read.

Each line holds at least `{"correct": bool, "steps": [{"text": str, "logprobs": [float]}]}`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rsd_graph.errors import ConfigurationError
from rsd_graph.state import Generation


@dataclass(frozen=True, slots=True)
class Solution:
    """One solution of one problem."""

    problem: str
    steps: tuple[Generation, ...]
    correct: bool
    """Whether its final answer is right: the weak label of all its steps."""


def read_solutions(file: Path) -> list[Solution]:
    """The solutions in the file, those without any step left out.

    Raises:
        ConfigurationError: a line is not a solution; the message names it.
    """
    solutions = []
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        try:
            record = json.loads(line)
            steps = tuple(
                Generation(step["text"], step.get("finish", "delimiter"), logprobs=tuple(step["logprobs"]))
                for step in record["steps"]
            )
            if steps:
                solutions.append(Solution(record["problem"], steps, bool(record["correct"])))
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(f"{file}, line {number}, is no recorded solution: {error!r}") from error
    return solutions


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
