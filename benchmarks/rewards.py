"""How well each reward tells right solutions from wrong ones, and what it costs.

    python benchmarks/gsm8k.py gsm8k-test-200.jsonl --only draft-only target-only
    python benchmarks/rewards.py results/draft-only.jsonl results/target-only.jsonl --judge

Of each recorded solution every step is scored, in order, with all steps before it. A solution's own reward is the
product of its steps' rewards, or the lowest; the table gives the area under the ROC curve (AUC) of both against the
correctness of the final answer, with 95 % bootstrap intervals.
"""

import argparse
import asyncio
import math
import time
from collections.abc import Sequence
from pathlib import Path

from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr
from rich.console import Console
from rich.progress import track
from rich.table import Table

from rsd_graph import RewardModel, Step
from rsd_graph.evaluation.metrics import area_interval, area_under_roc
from rsd_graph.evaluation.solutions import Solution, read_solutions
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp
from rsd_graph.models.weights import DRAFT, TARGET
from rsd_graph.rewards.confidence import ConfidenceReward, surprisal
from rsd_graph.rewards.judge import JudgeReward

CONCURRENCY = 8


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "solutions", type=Path, nargs="+", help="recorded solutions, as benchmarks/gsm8k.py writes them"
    )
    parser.add_argument("--judge", action="store_true", help="also ask both embedded models as judges: an hour or more")
    options = parser.parse_args()
    rewards: dict[str, RewardModel] = {"confidence": ConfidenceReward()}
    if options.judge:
        for name, weights in (("judge, 0.5B", DRAFT), ("judge, 1.5B", TARGET)):
            model = EmbeddedLlamaCpp(weights, slots=CONCURRENCY, context=2048)
            chat = ChatOpenAI(
                base_url=f"{await model.url()}/v1", api_key=SecretStr("none"), model=model.name, max_retries=0
            )
            rewards[name] = JudgeReward(chat, name=name, turn=model.turn)
    table = Table("solutions", "right", "reward", "AUC, product", "AUC, lowest step", "ms a step")
    for file in options.solutions:
        solutions = read_solutions(file)
        correct = [solution.correct for solution in solutions]
        right = f"{sum(correct)} of {len(correct)}"
        sums = [-sum(surprisal(step) for step in solution.steps) for solution in solutions]
        table.add_row(file.stem, right, "summed log-probability", area(sums, correct), "", "")
        for name, reward in rewards.items():
            scored, milliseconds = await score_all(reward, solutions, f"{name}, {file.stem}")
            products, lowest = [math.prod(each) for each in scored], [min(each) for each in scored]
            table.add_row(file.stem, right, name, area(products, correct), area(lowest, correct), f"{milliseconds:.2g}")
    Console(width=140).print(table)


async def score_all(reward: RewardModel, solutions: Sequence[Solution], label: str) -> tuple[list[list[float]], float]:
    """The rewards of every solution's steps, and the milliseconds that one step took."""
    places = asyncio.Semaphore(CONCURRENCY)
    scored: dict[int, list[float]] = {}

    async def score(index: int, solution: Solution) -> None:
        async with places:
            before: list[Step] = []
            scored[index] = []
            for candidate in solution.steps:
                (verdict,) = await reward.score([HumanMessage(solution.problem)], before, [candidate])
                scored[index].append(verdict.reward)
                before.append(Step(candidate.text, "draft"))

    started = time.monotonic()
    work = [score(index, solution) for index, solution in enumerate(solutions)]
    for done in track(asyncio.as_completed(work), description=label, total=len(work)):
        await done
    steps = sum(len(solution.steps) for solution in solutions)
    return [scored[index] for index in range(len(solutions))], (time.monotonic() - started) / steps * 1000


def area(rewards: list[float], correct: list[bool]) -> str:
    low, high = area_interval(rewards, correct)
    return f"{area_under_roc(rewards, correct):.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    asyncio.run(main())
