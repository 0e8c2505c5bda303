"""Which steps are right: from the final answer alone, or from what becomes of continuations after each step.

`answer` gives every step the correctness of the final answer. It is cheap, and wrong for the first steps of most wrong
solutions.

`monte-carlo` has the draft continue after each step several times, as Math-Shepherd does (arXiv 2312.08935, section
3.2, soft estimation). The label is the share of continuations that end at the right answer.

`target` looks for the step at which a wrong solution fails: the first one after which the target model, greedily, no
longer reaches the right answer. Binary search finds it in few continuations, as in OmegaPRM (arXiv 2406.06592, section
3.2). The steps before it are right and it is wrong. The steps after it are not labelled, nor is any step of a problem
that the target cannot solve. This is the question that RSD asks: would the target's help have mattered here?
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from rsd_graph._internal.files import Journal
from rsd_graph._internal.progress import Progress, silent
from rsd_graph.answers import extract_answer, same_answer
from rsd_graph.data.solutions import Solution
from rsd_graph.errors import ConfigurationError
from rsd_graph.protocols import StepGenerator
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Author
from rsd_graph.strategies.single import continue_solution, response
from rsd_graph.training.samples import CONCURRENCY

Labelling = Literal["answer", "monte-carlo", "target"]
Labels = Sequence[float | None]
"""Per step of a solution: 1 right, 0 wrong, in between where it was sampled, None where it is not known."""


def by_answer(solutions: Sequence[Solution]) -> list[Labels]:
    """Every step's label is the final answer's correctness."""
    return [[float(solution.correct)] * len(solution.steps) for solution in solutions]


async def by_continuation(
    model: StepGenerator,
    solutions: Sequence[Solution],
    continuations: int,
    settings: RSDSettings,
    file: Path,
    progress: Progress = silent,
) -> list[Labels]:
    """For every step but the last, the share of the model's continuations that end at the right answer.

    The last step's label is the solution's own correctness. Solutions that the journal holds are not labelled again.
    """

    async def label(solution: Solution) -> Labels:
        shares = []
        for kept in range(1, len(solution.steps)):
            seeds = range(settings.seed, settings.seed + continuations)
            various = [settings.model_copy(update={"seed": seed}) for seed in seeds]
            ended = await asyncio.gather(*(_ends_right(model, "draft", solution, kept, each) for each in various))
            shares.append(sum(ended) / continuations)
        return [*shares, float(solution.correct)]

    return await _labelled(solutions, label, file, progress)


async def by_first_error(
    model: StepGenerator,
    solutions: Sequence[Solution],
    settings: RSDSettings,
    file: Path,
    progress: Progress = silent,
) -> list[Labels]:
    """Find the first step of each wrong solution after which the model fails. All steps of right solutions are right.

    Solutions that the journal holds are not labelled again.
    """

    async def label(solution: Solution) -> Labels:
        count = len(solution.steps)
        if solution.correct:
            return [1.0] * count
        if not await _ends_right(model, "target", solution, 0, settings):
            return [None] * count
        good, bad = 0, count
        while bad - good > 1:
            middle = (good + bad) // 2
            if await _ends_right(model, "target", solution, middle, settings):
                good = middle
            else:
                bad = middle
        return [1.0] * good + [0.0] + [None] * (count - bad)

    return await _labelled(solutions, label, file, progress)


async def _ends_right(model: StepGenerator, role: Author, solution: Solution, kept: int, settings: RSDSettings) -> bool:
    """Whether the model reaches the right answer after so many of the solution's steps."""
    steps = solution.steps[:kept]
    steps = (*steps, *await continue_solution(model, solution.problem, steps, settings, role))
    return await asyncio.to_thread(same_answer, extract_answer(response(steps, settings)), solution.reference)


async def _labelled(
    solutions: Sequence[Solution],
    label: Callable[[Solution], Coroutine[Any, Any, Labels]],
    file: Path,
    progress: Progress,
) -> list[Labels]:
    """The labels of each solution, several solutions at a time. The journal keeps them by the solutions' identities."""
    journal = Journal(file, _with_labels)
    done = {record["solution"] for record in journal.records}
    places = asyncio.Semaphore(CONCURRENCY)

    async def work(identity: str, solution: Solution) -> dict[str, Any]:
        async with places:
            return {"solution": identity, "labels": await label(solution)}

    unknown = {solution.identity: solution for solution in solutions if solution.identity not in done}
    await journal.fill([work(*item) for item in unknown.items()], partial(progress, "labelling steps"))
    labels: dict[str, Labels] = {record["solution"]: record["labels"] for record in journal.records}
    for solution in solutions:
        if len(labels[solution.identity]) != len(solution.steps):
            raise ConfigurationError(
                f"{file} has {len(labels[solution.identity])} labels for a solution of {len(solution.steps)} steps: "
                "delete it, and it is made again"
            )
    return [labels[solution.identity] for solution in solutions]


def _with_labels(record: Any) -> dict[str, Any]:
    """A record as `_labelled` writes it."""
    if not isinstance(record["solution"], str):
        raise TypeError("`solution` is a text")
    if not all(label is None or 0 <= label <= 1 for label in record["labels"]):
        raise ValueError("a label is null, or from 0 to 1")
    return dict(record)
