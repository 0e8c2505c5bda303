"""Score recorded solutions with a reward model."""

import asyncio
import time
from collections.abc import Sequence

from langchain_core.messages import HumanMessage

from rsd_graph._internal.progress import Progress, silent
from rsd_graph.data.solutions import Solution
from rsd_graph.errors import ConfigurationError
from rsd_graph.evaluation.summary import Evaluation
from rsd_graph.protocols import RewardModel
from rsd_graph.state import Score, Step

CONCURRENCY = 8
"""Solutions scored at once; the steps of one solution are scored in order."""


async def evaluate(reward: RewardModel, solutions: Sequence[Solution], progress: Progress = silent) -> Evaluation:
    """Score every step of every solution, in order, several solutions at a time.

    Args:
        reward: The reward model.
        solutions: What to score.
        progress: Told how many solutions are scored.

    Raises:
        ConfigurationError: there is no solution.
        RSDError: as the reward raises.
    """
    if not solutions:
        raise ConfigurationError("there is no solution to score")
    places = asyncio.Semaphore(CONCURRENCY)
    finished = 0

    async def score(solution: Solution) -> list[Score]:
        nonlocal finished
        async with places:
            scores = await _score_steps(reward, solution)
        finished += 1
        progress("scoring", finished, len(solutions))
        return scores

    started = time.monotonic()
    work = [asyncio.ensure_future(score(solution)) for solution in solutions]
    try:
        scored = await asyncio.gather(*work)
    finally:
        for task in work:  # after an error, some may still be running
            task.cancel()
    return Evaluation(
        solutions,
        [[score.reward for score in scores] for scores in scored],
        [[score.usage for score in scores] for scores in scored],
        time.monotonic() - started,
    )


async def _score_steps(reward: RewardModel, solution: Solution) -> list[Score]:
    """The score of each step, as the newest of those before it."""
    before: list[Step] = []
    scores: list[Score] = []
    for candidate in solution.steps:
        scores += await reward.score([HumanMessage(solution.problem)], before, [candidate])
        before.append(Step(candidate.text, "draft", finish=candidate.finish))
    return scores
