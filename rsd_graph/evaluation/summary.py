"""How well a reward did on recorded solutions, in numbers."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rsd_graph.data.solutions import Solution
from rsd_graph.evaluation.metrics import Area, Bin, expected_calibration_error, reliability
from rsd_graph.state import TokenUsage


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The rewards of some solutions' steps, and what they are worth."""

    solutions: Sequence[Solution]
    rewards: Sequence[Sequence[float]]
    """Per solution and step, each scored as the newest of those before it."""
    usage: Sequence[Sequence[TokenUsage]]
    """Tokens per solution and step."""
    seconds: float
    """Wall-clock time for all, several at a time."""

    @property
    def correct(self) -> list[bool]:
        """Whether each solution's final answer is right."""
        return [solution.correct for solution in self.solutions]

    @property
    def last(self) -> list[float]:
        """The reward of each solution's last step."""
        return [rewards[-1] for rewards in self.rewards]

    @property
    def lowest(self) -> list[float]:
        """The lowest reward of each solution's steps."""
        return [min(rewards) for rewards in self.rewards]

    def areas(self) -> dict[str, Area]:
        """AUC against the final answer's correctness: of solutions by one number each, and of every prefix."""
        aggregates = {
            "last step": self.last,
            "lowest step": self.lowest,
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
        """Wall-clock milliseconds per step."""
        return 1000 * self.seconds / sum(len(rewards) for rewards in self.rewards)

    def tokens(self, first: int = 1, last: int | None = None) -> float | None:
        """Mean number of tokens computed per step, over the steps from `first` to `last`, counted from 1.

        None if no solution has such a step.
        """
        chosen = [usage.computed for steps in self.usage for usage in steps[first - 1 : last]]
        return sum(chosen) / len(chosen) if chosen else None

    def as_json(self) -> dict[str, Any]:
        """All numbers, for programs."""
        table = self.reliability()
        return {
            "solutions": len(self.solutions),
            "right": sum(self.correct),
            "auc": {name: _numbers(area) for name, area in self.areas().items()},
            "ece": expected_calibration_error(table),
            "reliability": [asdict(each) for each in table],
            "milliseconds_per_step": self.milliseconds,
            "tokens_per_step": self.tokens(),
        }


def _numbers(area: Area) -> list[float | None]:
    """Value and interval; null where all solutions are right, or all wrong."""
    return [None if math.isnan(number) else number for number in (area.value, area.low, area.high)]
