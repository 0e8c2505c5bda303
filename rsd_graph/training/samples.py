"""The draft solves problems; every solution is a line in a file, and is not asked for again."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rsd_graph._internal.files import Journal
from rsd_graph.answers import extract_answer, same_answer
from rsd_graph.data.problems import Problem
from rsd_graph.data.solutions import Solution
from rsd_graph.errors import ConfigurationError
from rsd_graph.protocols import StepGenerator
from rsd_graph.settings import RSDSettings
from rsd_graph.strategies.single import continue_solution, response

CONCURRENCY = 8
"""Problems under way at once: an embedded model's slots."""


def with_references(solutions: Sequence[Solution], problems: Sequence[Problem]) -> list[Solution]:
    """The solutions, each with its right answer; where a solution does not say it, from the problems.

    Raises:
        ConfigurationError: the answer of a solution's problem is not known.
    """
    answers = {problem.text: problem.answer for problem in problems}
    found = []
    for solution in solutions:
        reference = solution.reference or answers.get(solution.problem)
        if not reference:
            raise ConfigurationError(
                f"labels by continuation need the right answer, and none is known of {solution.problem!r:.80}: write "
                "it into the solution as `reference`, or name the file of its problem"
            )
        found.append(replace(solution, reference=reference))
    return found


async def sample(
    draft: StepGenerator,
    problems: Sequence[Problem],
    settings: RSDSettings,
    file: Path,
    progress: Callable[[int, int], None],
) -> None:
    """Have the draft solve each problem that the file does not hold yet."""
    journal = Journal(file, _with_problem)
    done = {record["problem"] for record in journal.records}
    places = asyncio.Semaphore(CONCURRENCY)

    async def solve(problem: Problem) -> dict[str, Any]:
        async with places:
            steps = await continue_solution(draft, problem.text, [], settings)
        answer = extract_answer(response(steps, settings))
        return {
            "problem": problem.text,
            "reference": problem.answer,
            "answer": answer,
            "correct": await asyncio.to_thread(same_answer, answer, problem.answer),
            "steps": [
                {
                    "text": step.text,
                    "finish": step.finish,
                    "tokens": step.usage.completion,
                    "logprobs": step.logprobs,
                }
                for step in steps
            ],
        }

    await journal.fill([solve(problem) for problem in problems if problem.text not in done], progress)


def _with_problem(record: Any) -> dict[str, Any]:
    """A record as `sample` writes it, as far as it reads it; the rest is read as a solution."""
    if not isinstance(record["problem"], str):
        raise TypeError("`problem` is a text")
    return dict(record)
