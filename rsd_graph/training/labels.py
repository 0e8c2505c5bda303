"""Which steps are right: from the final answer alone, or from how solutions go on behind each step.

`answer` takes every step of a solution for what its final answer is: cheap, and wrong for the first steps of most wrong
solutions. `monte-carlo` continues behind each step several times, as Math-Shepherd does (arXiv 2312.08935, section 3.2,
soft estimation): the label is the share of continuations that end at the right answer. With the draft it says whether
the draft can still succeed from there; `target` asks the target model, once and greedily: whether *it* can, which is
the question that RSD has.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from rsd_graph.answers import extract_answer, same_answer
from rsd_graph.evaluation.solutions import Solution
from rsd_graph.models import StepGenerator
from rsd_graph.settings import RSDSettings
from rsd_graph.training.journal import Journal
from rsd_graph.training.samples import CONCURRENCY, continue_solution, response

Labelling = Literal["answer", "monte-carlo", "target"]


def by_answer(solutions: Sequence[Solution]) -> list[list[float]]:
    """The final answer's correctness, for every step."""
    return [[float(solution.correct)] * len(solution.steps) for solution in solutions]


async def by_continuation(
    model: StepGenerator,
    solutions: Sequence[Solution],
    continuations: int,
    settings: RSDSettings,
    file: Path,
    progress: Callable[[int, int], None],
) -> list[list[float]]:
    """For every step but the last, the share of the model's continuations that end at the right answer.

    The last step's label is the solution's own correctness. What the file holds is not asked for again.
    """
    journal = Journal(file)
    labels: dict[int, list[float]] = {record["solution"]: record["labels"] for record in journal.records}
    progress(len(labels), len(solutions))
    places = asyncio.Semaphore(CONCURRENCY)

    async def ends_right(solution: Solution, kept: int, number: int) -> bool:
        own = settings.model_copy(update={"seed": settings.seed + number})
        async with places:
            steps = solution.steps[:kept]
            steps = (*steps, *await continue_solution(model, solution.problem, steps, own))
        return await asyncio.to_thread(same_answer, extract_answer(response(steps, own)), solution.reference)

    async def label(index: int, solution: Solution) -> tuple[int, list[float]]:
        shares = []
        for kept in range(1, len(solution.steps)):
            ended = await asyncio.gather(*(ends_right(solution, kept, number) for number in range(continuations)))
            shares.append(sum(ended) / continuations)
        return index, [*shares, float(solution.correct)]

    work = [label(index, solution) for index, solution in enumerate(solutions) if index not in labels]
    for finished in asyncio.as_completed(work):
        index, own = await finished
        labels[index] = own
        journal.append({"solution": index, "labels": own})
        progress(len(labels), len(solutions))
    return [labels[index] for index in range(len(solutions))]
