"""Recorded solutions, as JSON lines: what the measurements, the calibration and the training read.

Each line holds at least `{"problem": str, "correct": bool, "steps": [str]}`. A step may also be an object with `text`,
`finish`, `tokens`, their number, and `logprobs`, their log-probabilities, which the confidence reward needs;
`reference` is the right answer.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from rsd_graph._internal.files import read_lines
from rsd_graph.state import Finish, Generation, TokenUsage

MOST_TOKENS = 2**31
ROUNDING = 1e-3
"""A log-probability may be this far above 0: servers compute it in single precision, or less."""


@dataclass(frozen=True, slots=True)
class Solution:
    """One solution of one problem."""

    problem: str
    steps: tuple[Generation, ...]
    correct: bool
    """Whether its final answer is right: the weak label of all its steps."""
    reference: str = ""
    """The right answer, where it is known."""

    @property
    def identity(self) -> str:
        """Tells it from solutions with another problem or another text."""
        content = [self.problem, *([step.text, step.finish] for step in self.steps)]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def read_solutions(file: Path) -> list[Solution]:
    """The solutions in the file, those without any step left out.

    Raises:
        ConfigurationError: the file cannot be read, or a line is not a solution; the message names it.
    """
    return [each for each in read_lines(file, "a recorded solution", _solution) if each.steps]


def _solution(record: Any) -> Solution:
    if not isinstance(record["correct"], bool):
        raise TypeError("`correct` is true or false")
    if not isinstance(record["problem"], str):
        raise TypeError("`problem` is a text")
    if not isinstance(record["steps"], list):
        raise TypeError("`steps` is a list")
    steps = tuple(_step(step) for step in record["steps"])
    reference = record.get("reference")
    return Solution(record["problem"], steps, record["correct"], "" if reference is None else str(reference))


def _step(step: Any) -> Generation:
    if isinstance(step, str):
        return Generation(step, "delimiter")
    if not isinstance(step["text"], str):
        raise TypeError("a step's `text` is a text")
    finish = step.get("finish", "delimiter")
    if finish not in get_args(Finish):
        raise ValueError(f"`finish` is one of {', '.join(get_args(Finish))}")
    logprobs = step.get("logprobs")
    if logprobs is not None:
        logprobs = tuple(_logprob(each) for each in logprobs)
    tokens = step.get("tokens", len(logprobs or ()))
    if isinstance(tokens, bool) or not isinstance(tokens, int) or not 0 <= tokens <= MOST_TOKENS:
        raise ValueError("`tokens` is a number of tokens")
    return Generation(step["text"], finish, TokenUsage(completion=tokens), logprobs)


def _logprob(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value <= ROUNDING:
        raise ValueError("`logprobs` holds logarithms of probabilities: numbers, 0 or less")
    return min(float(value), 0.0)


def joined(solution: Solution) -> Solution:
    """A step that a token limit cut is one with what goes on behind it, as reward models see them."""
    steps: list[Generation] = []
    for step in solution.steps:
        if steps and steps[-1].finish == "length":
            cut = steps.pop()
            logprobs = None if cut.logprobs is None or step.logprobs is None else (*cut.logprobs, *step.logprobs)
            step = Generation(cut.text + step.text, step.finish, cut.usage + step.usage, logprobs)  # noqa: PLW2901
        steps.append(step)
    return replace(solution, steps=tuple(steps))


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
