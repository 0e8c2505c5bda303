"""Sampling: the draft solves problems. Every solution is a line in a journal, and no problem is solved twice."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rsd_graph._internal.files import Journal
from rsd_graph._internal.progress import Progress, silent
from rsd_graph.answers import extract_answer, same_answer
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
    answers = {problem.text: problem.answer for problem in problems}
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
) -> None:
    """Have the draft solve each problem that the journal does not hold yet.

    Args:
        draft: Writes the solutions.
        problems: To solve.
        settings: To sample with.
        file: The journal, of recorded solutions.
        progress: Told how many problems are solved.
    """
    journal = Journal(file, _with_problem)
    done = {record["problem"] for record in journal.records}
    places = asyncio.Semaphore(CONCURRENCY)

    async def solve(problem: Problem) -> dict[str, Any]:
        async with places:
            steps = await continue_solution(draft, problem.text, [], settings)
        answer = extract_answer(response(steps, settings))
        correct = await asyncio.to_thread(same_answer, answer, problem.answer)
        return to_record(Solution(problem.text, tuple(steps), correct, problem.answer, answer))

    report = partial(progress, "solving problems")
    await journal.fill([solve(problem) for problem in problems if problem.text not in done], report)


def _with_problem(record: Any) -> dict[str, Any]:
    """A record as `sample` writes it, as far as it reads it; the rest is read as a solution."""
    if not isinstance(record["problem"], str):
        raise TypeError("`problem` must be a text")
    return dict(record)
