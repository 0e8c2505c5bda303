"""Recorded solutions, as JSON lines: what evaluation, calibration and training read, and what sampling writes.

Each line holds at least `{"problem": str, "correct": bool, "steps": [str]}`. A step may also be an object with `text`,
`finish`, `tokens` (how many), and `logprobs`, the tokens' log-probabilities, which the confidence reward needs.
`reference` is the right answer, `answer` the solution's own. Other keys are ignored: a program may add its own.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from rsd_graph._internal.files import read_lines
from rsd_graph.data.cut_steps import group_cut_steps
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
    answer: str | None = None
    """Its final answer, where it was recorded."""

    @property
    def identity(self) -> str:
        """A hash of the problem, the text and the cuts of its steps."""
        content = [self.problem, *([step.text, step.finish] for step in self.steps)]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def read_solutions(file: Path) -> list[Solution]:
    """Read the solutions in the file; those without any step are left out.

    Raises:
        ConfigurationError: the file cannot be read, or a line is not a solution; the message names it.
    """
    return [each for each in read_lines(file, "a recorded solution", from_record) if each.steps]


def to_record(solution: Solution) -> dict[str, Any]:
    """The solution as the JSON object of its line; `from_record` reads it."""
    return {
        "problem": solution.problem,
        "reference": solution.reference,
        "answer": solution.answer,
        "correct": solution.correct,
        "steps": [
            {"text": step.text, "finish": step.finish, "tokens": step.usage.completion, "logprobs": step.logprobs}
            for step in solution.steps
        ],
    }


def from_record(record: Any) -> Solution:
    """The solution that a line's JSON object describes.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it describes none.
    """
    if not isinstance(record["correct"], bool):
        raise TypeError("`correct` must be true or false")
    if not isinstance(record["problem"], str):
        raise TypeError("`problem` must be a text")
    if not isinstance(record["steps"], list):
        raise TypeError("`steps` must be a list")
    return Solution(
        problem=record["problem"],
        steps=tuple(_step(step) for step in record["steps"]),
        correct=record["correct"],
        reference=_text(record.get("reference")) or "",
        answer=_text(record.get("answer")),
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _step(step: Any) -> Generation:
    if isinstance(step, str):
        return Generation(step, "delimiter")
    if not isinstance(step["text"], str):
        raise TypeError("a step's `text` must be a text")
    finish = step.get("finish", "delimiter")
    if finish not in get_args(Finish):
        raise ValueError(f"`finish` must be one of {', '.join(get_args(Finish))}")
    logprobs = step.get("logprobs")
    if logprobs is not None:
        logprobs = tuple(_logprob(each) for each in logprobs)
    tokens = step.get("tokens", len(logprobs or ()))
    if isinstance(tokens, bool) or not isinstance(tokens, int) or not 0 <= tokens <= MOST_TOKENS:
        raise ValueError("`tokens` is a number of tokens")
    return Generation(step["text"], finish, TokenUsage(completion=tokens), logprobs)


def _logprob(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value <= ROUNDING:
        raise ValueError("`logprobs` must be logarithms of probabilities: numbers, 0 or less")
    return min(float(value), 0.0)


def merge_cut_steps(solution: Solution) -> Solution:
    """The solution as reward models see it: a step that a token limit cut is one with what continues it."""
    return replace(solution, steps=tuple(_merge(parts) for parts in group_cut_steps(solution.steps)))


def _merge(parts: Sequence[Generation]) -> Generation:
    logprobs: tuple[float, ...] | None = ()
    for part in parts:
        logprobs = None if logprobs is None or part.logprobs is None else (*logprobs, *part.logprobs)
    usage = sum((part.usage for part in parts), TokenUsage())
    return Generation("".join(part.text for part in parts), parts[-1].finish, usage, logprobs)


def split_by_problem(solutions: Sequence[Solution], folds: int) -> list[tuple[list[Solution], list[Solution]]]:
    """For each fold, the training and the held-out part. All solutions of one problem stay together."""
    order = {problem: index for index, problem in enumerate(dict.fromkeys(each.problem for each in solutions))}
    return [
        (
            [each for each in solutions if order[each.problem] % folds != fold],
            [each for each in solutions if order[each.problem] % folds == fold],
        )
        for fold in range(folds)
    ]
