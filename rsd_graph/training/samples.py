"""Sampling: the draft solves problems. Every solution is a line in a journal, and no problem is solved twice."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rsd_graph._internal.files import Journal
from rsd_graph._internal.progress import Progress, silent
from rsd_graph.answers import extract_answer
from rsd_graph.data.grading import is_right
from rsd_graph.data.problems import Problem
from rsd_graph.data.solutions import Solution, to_record
from rsd_graph.errors import ConfigurationError
from rsd_graph.protocols import StepGenerator
from rsd_graph.settings import RSDSettings
from rsd_graph.strategies.single import continue_solution, response

CONCURRENCY = 8
"""Problems solved at once: as many as an embedded model has slots."""


def with_references(solutions: Sequence[Solution], problems: Sequence[Problem]) -> list[Solution]:
    """The solutions, each with its right answer: its own reference, or the answer of its problem.

    Raises:
        ConfigurationError: neither is known.
    """
    answers = {problem.prompt: problem.answer for problem in problems}
    found = []
    for solution in solutions:
        reference = solution.reference or answers.get(solution.problem)
        if not reference:
            raise ConfigurationError(
                f"labels by continuation need the right answer, which is not known for {solution.problem!r:.80}: write "
                "it into the solution as `reference`, or name the file of its problem"
            )
        found.append(replace(solution, reference=reference))
    return found


async def sample(
    draft: StepGenerator,
    problems: Sequence[Problem],
    settings: RSDSettings,
    file: Path,
    progress: Progress = silent,
    *,
    made_with: str | None = None,
) -> None:
    """Have the draft solve each problem that the journal does not hold yet.

    Args:
        draft: Writes the solutions.
        problems: To solve.
        settings: To sample with.
        file: The journal, of recorded solutions.
        progress: Told how many problems are solved.
        made_with: Stands for all that decides what is written, and is recorded; None where the file's owner sees to it.

    Raises:
        ConfigurationError: the journal holds solutions that were made with something else.
    """
    journal = Journal(file, _with_problem)
    if made_with is not None and any(record.get("made_with") != made_with for record in journal.records):
        raise ConfigurationError(
            f"{file} holds solutions of another draft, or with other settings: go back to them, or choose another file"
        )
    done = {record["problem"] for record in journal.records}
    places = asyncio.Semaphore(CONCURRENCY)

    async def solve(problem: Problem) -> dict[str, Any]:
        async with places:
            steps = await continue_solution(draft, problem.prompt, [], settings)
        answer = extract_answer(response(steps, settings))
        correct = await asyncio.to_thread(
            is_right, answer, problem.answer, choices=problem.choices, tolerance=problem.tolerance
        )
        record = to_record(Solution(problem.prompt, tuple(steps), correct, problem.answer, answer))
        return record if made_with is None else {**record, "made_with": made_with}

    report = partial(progress, "solving problems")
    await journal.fill([solve(problem) for problem in problems if problem.prompt not in done], report)


def _with_problem(record: Any) -> dict[str, Any]:
    """A record as `sample` writes it, as far as it reads it; the rest is read as a solution."""
    if not isinstance(record["problem"], str):
        raise TypeError("`problem` must be a text")
    return dict(record)
