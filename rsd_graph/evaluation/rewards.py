"""Score recorded solutions with a reward model, and say how well it does."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.messages import HumanMessage

from rsd_graph.data.solutions import Solution
from rsd_graph.errors import ConfigurationError
from rsd_graph.evaluation.metrics import (
    Area,
    Bin,
    area_under_roc,
    expected_calibration_error,
    reliability,
    roc_curve,
)
from rsd_graph.protocols import RewardModel
from rsd_graph.state import Score, Step, TokenUsage

CONCURRENCY = 8
"""Solutions under way at once; the steps of one come in order."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How well a reward did on some solutions."""

    solutions: Sequence[Solution]
    rewards: Sequence[Sequence[float]]
    """Of each solution's steps, each as the newest of those before it."""
    usage: Sequence[Sequence[TokenUsage]]
    """Tokens of each of them."""
    seconds: float
    """For all, several at a time."""

    @property
    def correct(self) -> list[bool]:
        """Whether each solution's final answer is right."""
        return [solution.correct for solution in self.solutions]

    @property
    def last(self) -> list[float]:
        """Each solution's reward of its last step."""
        return [rewards[-1] for rewards in self.rewards]

    def areas(self) -> dict[str, Area]:
        """AUC against the final answer's correctness: of solutions by one number each, and of every prefix."""
        aggregates = {
            "last step": self.last,
            "lowest step": [min(rewards) for rewards in self.rewards],
            "mean of the steps": [sum(rewards) / len(rewards) for rewards in self.rewards],
            "product of the steps": [math.prod(rewards) for rewards in self.rewards],
        }
        areas = {name: Area.of(values, self.correct) for name, values in aggregates.items()}
        owners = [index for index, rewards in enumerate(self.rewards) for _ in rewards]
        every = [reward for rewards in self.rewards for reward in rewards]
        return {**areas, "every prefix": Area.of(every, [self.correct[owner] for owner in owners], owners)}

    def reliability(self) -> list[Bin]:
        """The reliability table of the last steps' rewards."""
        return reliability(self.last, self.correct)

    @property
    def milliseconds(self) -> float:
        """Wall-clock milliseconds a step."""
        return 1000 * self.seconds / sum(len(rewards) for rewards in self.rewards)

    def tokens(self, first: int = 1, last: int | None = None) -> float | None:
        """Mean tokens computed for a step, of the steps from `first` to `last`, counted from 1; None without any."""
        chosen = [usage.computed for steps in self.usage for usage in steps[first - 1 : last]]
        return sum(chosen) / len(chosen) if chosen else None

    def as_json(self) -> dict[str, Any]:
        """Everything in numbers, for programs."""
        table = self.reliability()
        return {
            "solutions": len(self.solutions),
            "right": sum(self.correct),
            "auc": {name: _numbers(area) for name, area in self.areas().items()},
            "ece": expected_calibration_error(table),
            "reliability": [
                {"low": each.low, "high": each.high, "count": each.count, "reward": each.reward, "right": each.right}
                for each in table
            ],
            "milliseconds_per_step": self.milliseconds,
            "tokens_per_step": self.tokens(),
        }

    def draw(self, file: Path, name: str) -> None:
        """Draw the ROC curve and the reliability table side by side.

        Raises:
            ConfigurationError: the file cannot be written.
        """
        import matplotlib as mpl

        mpl.use("Agg")
        from matplotlib import pyplot as plt

        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
        for label, values in (("last step", self.last), ("lowest step", [min(each) for each in self.rewards])):
            left.plot(
                *roc_curve(values, self.correct), label=f"{label}: AUC {area_under_roc(values, self.correct):.2f}"
            )
        left.plot([0, 1], [0, 1], ":", color="grey")
        left.set(
            xlabel="wrong solutions accepted", ylabel="right solutions accepted", title=f"ROC, {name}", aspect="equal"
        )
        left.legend(loc="lower right")
        table = self.reliability()
        right.bar(
            [each.low for each in table],
            [each.right for each in table],
            width=0.1,
            align="edge",
            color="tab:blue",
            alpha=0.5,
            edgecolor="white",
        )
        for each in table:
            right.annotate(str(each.count), (each.low + 0.05, each.right), ha="center", va="bottom", fontsize=8)
        right.plot([0, 1], [0, 1], ":", color="grey")
        right.set(
            xlabel="reward of the last step",
            ylabel="share of right solutions",
            title=f"reliability: ECE {expected_calibration_error(table):.2f}",
            xlim=(0, 1),
            ylim=(0, 1.08),
        )
        try:
            figure.savefig(file)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"cannot write the picture {file}: {error}") from error
        finally:
            plt.close(figure)


def _numbers(area: Area) -> list[float | None]:
    """Value and interval; null where all solutions are right, or all wrong."""
    return [None if math.isnan(number) else number for number in (area.value, area.low, area.high)]


def check_picture(file: Path) -> None:
    """Refuse a picture that could not be drawn, before any work is put into it.

    Raises:
        ConfigurationError: the folder is not there, or the ending tells no format.
        ImportError: matplotlib is not installed.
    """
    from matplotlib.backend_bases import FigureCanvasBase

    known = FigureCanvasBase.get_supported_filetypes()
    if file.suffix.removeprefix(".") not in known:
        raise ConfigurationError(f"cannot draw {file}: a picture ends in one of {', '.join(sorted(known))}")
    if not file.parent.is_dir():
        raise ConfigurationError(f"cannot draw {file}: the folder {file.parent} is not there")


async def evaluate(
    reward: RewardModel, solutions: Sequence[Solution], progress: Callable[[int, int], None] = lambda _done, _all: None
) -> Evaluation:
    """Score every step of every solution, in order, several solutions at a time.

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
            before: list[Step] = []
            scores = []
            for candidate in solution.steps:
                scores += await reward.score([HumanMessage(solution.problem)], before, [candidate])
                before.append(Step(candidate.text, "draft", finish=candidate.finish))
        finished += 1
        progress(finished, len(solutions))
        return scores

    started = time.monotonic()
    work = [asyncio.ensure_future(score(solution)) for solution in solutions]
    try:
        scored = await asyncio.gather(*work)
    finally:
        for task in work:  # those that an error has left
            task.cancel()
    return Evaluation(
        solutions,
        [[score.reward for score in scores] for scores in scored],
        [[score.usage for score in scores] for scores in scored],
        time.monotonic() - started,
    )
