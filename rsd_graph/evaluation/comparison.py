"""Several runs over the same problems, side by side: pure functions of what was recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rsd_graph.costs import Parameters, flops
from rsd_graph.evaluation.intervals import Interval, Paired, mcnemar, paired_difference, wilson
from rsd_graph.state import Usage


@dataclass(frozen=True, slots=True)
class Solved:
    """One problem, as a strategy has solved it."""

    right: bool
    seconds: float
    """From the question to the answer; waiting for other problems included."""
    usage: Usage
    parameters: Parameters | None
    """The models' sizes, if all are known."""
    by_draft: Sequence[bool]
    """For each step, but for the output of code, whether the draft wrote it."""

    @property
    def flops(self) -> float | None:
        """Everything that was computed; None if a model's size is unknown."""
        return flops(self.usage, self.parameters).total if self.parameters else None


@dataclass(frozen=True, slots=True)
class Run:
    """A strategy on a data set."""

    data: str
    name: str
    solved: Mapping[str, Solved]
    """By the problem's id, and by the epoch where there are several."""

    @property
    def accuracy(self) -> Interval:
        """The share of right answers, with its Wilson interval."""
        return wilson(sum(each.right for each in self.solved.values()), len(self.solved))

    @property
    def usage(self) -> Usage:
        """All tokens."""
        return sum((each.usage for each in self.solved.values()), Usage())

    @property
    def seconds(self) -> float:
        """Mean seconds of a problem."""
        return sum(each.seconds for each in self.solved.values()) / len(self.solved)

    @property
    def flops(self) -> float | None:
        """Mean FLOPs of a problem; None if a model's size is unknown."""
        counted = [each.flops for each in self.solved.values()]
        known = [each for each in counted if each is not None]
        return sum(known) / len(known) if len(known) == len(counted) else None

    def acceptance(self, positions: int = 10) -> list[tuple[int, float]]:
        """How many runs have a step at each position, and the share of those steps that the draft wrote."""
        steps = [each.by_draft for each in self.solved.values()]
        there = [[by_draft[index] for by_draft in steps if len(by_draft) > index] for index in range(positions)]
        return [(len(kept), sum(kept) / len(kept)) for kept in there if kept]


@dataclass(frozen=True, slots=True)
class Difference:
    """A run against another one, on the problems that both have."""

    right: Paired
    seconds: Interval
    """Mean difference of the seconds of a problem."""


def against(run: Run, baseline: Run) -> Difference:
    """Compare two runs problem by problem.

    Raises:
        ValueError: they share no problem.
    """
    shared = sorted(run.solved.keys() & baseline.solved.keys())
    right = mcnemar(
        {each: run.solved[each].right for each in shared}, {each: baseline.solved[each].right for each in shared}
    )
    seconds = paired_difference(
        [run.solved[each].seconds for each in shared], [baseline.solved[each].seconds for each in shared]
    )
    return Difference(right, seconds)
