"""Which steps are right: from the final answer alone, or from how solutions go on behind each step.

`answer` takes every step of a solution for what its final answer is: cheap, and wrong for the first steps of most wrong
solutions.

`monte-carlo` has the draft continue behind each step several times, as Math-Shepherd does (arXiv 2312.08935, section
3.2, soft estimation): the label is the share of continuations that end at the right answer.

`target` looks for the step that a wrong solution fails at: the first one behind which the target model, greedily, does
not get to the right answer any more. Halving finds it in few continuations, as OmegaPRM does (arXiv 2406.06592, section
3.2). Steps before it are right and it is wrong; of what comes behind, and of problems that the target cannot solve
either, nothing is known. It is the question that RSD has: would the target's hand have helped here?
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Literal

from rsd_graph._internal.files import Journal
from rsd_graph.answers import extract_answer, same_answer
from rsd_graph.data.solutions import Solution
from rsd_graph.errors import ConfigurationError
from rsd_graph.protocols import StepGenerator
from rsd_graph.settings import RSDSettings
from rsd_graph.strategies.single import continue_solution, response
from rsd_graph.training.samples import CONCURRENCY

Labelling = Literal["answer", "monte-carlo", "target"]
Labels = Sequence[float | None]
"""Of a solution's steps: 1 right, 0 wrong, in between where it was sampled, None where it is not known."""


def by_answer(solutions: Sequence[Solution]) -> list[Labels]:
    """The final answer's correctness, for every step."""
    return [[float(solution.correct)] * len(solution.steps) for solution in solutions]


async def by_continuation(
    model: StepGenerator,
    solutions: Sequence[Solution],
    continuations: int,
    settings: RSDSettings,
    file: Path,
    progress: Callable[[int, int], None],
) -> list[Labels]:
    """For every step but the last, the share of the model's continuations that end at the right answer.

    The last step's label is the solution's own correctness. What the file holds is not asked for again.
    """

    async def label(solution: Solution) -> Labels:
        shares = []
        for kept in range(1, len(solution.steps)):
            seeds = range(settings.seed, settings.seed + continuations)
            ended = await asyncio.gather(
                *(_ends_right(model, solution, kept, settings.model_copy(update={"seed": seed})) for seed in seeds)
            )
            shares.append(sum(ended) / continuations)
        return [*shares, float(solution.correct)]

    return await _labelled(solutions, label, file, progress)


async def by_first_error(
    model: StepGenerator,
    solutions: Sequence[Solution],
    settings: RSDSettings,
    file: Path,
    progress: Callable[[int, int], None],
) -> list[Labels]:
    """Of wrong solutions, the step behind which the model fails for the first time; all steps of right ones are right.

    What the file holds is not asked for again.
    """

    async def label(solution: Solution) -> Labels:
        count = len(solution.steps)
        if solution.correct:
            return [1.0] * count
        if not await _ends_right(model, solution, 0, settings):
            return [None] * count
        good, bad = 0, count
        while bad - good > 1:
            middle = (good + bad) // 2
            if await _ends_right(model, solution, middle, settings):
                good = middle
            else:
                bad = middle
        return [1.0] * good + [0.0] + [None] * (count - bad)

    return await _labelled(solutions, label, file, progress)


async def _ends_right(model: StepGenerator, solution: Solution, kept: int, settings: RSDSettings) -> bool:
    """Whether the model, behind so many steps, gets to the right answer."""
    steps = solution.steps[:kept]
    steps = (*steps, *await continue_solution(model, solution.problem, steps, settings))
    return await asyncio.to_thread(same_answer, extract_answer(response(steps, settings)), solution.reference)


async def _labelled(
    solutions: Sequence[Solution],
    label: Callable[[Solution], Coroutine[Any, Any, Labels]],
    file: Path,
    progress: Callable[[int, int], None],
) -> list[Labels]:
    """Each solution's labels, several solutions at a time; the file keeps them by the solutions' identities."""
    journal = Journal(file, _with_labels)
    done = {record["solution"] for record in journal.records}
    places = asyncio.Semaphore(CONCURRENCY)

    async def work(identity: str, solution: Solution) -> dict[str, Any]:
        async with places:
            return {"solution": identity, "labels": await label(solution)}

    unknown = {solution.identity: solution for solution in solutions if solution.identity not in done}
    await journal.fill([work(*item) for item in unknown.items()], progress)
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
