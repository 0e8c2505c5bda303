"""How well a reward separates right from wrong, and how well it is calibrated: pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata


def area_under_roc(rewards: Sequence[float], correct: Sequence[bool]) -> float:
    """The probability in [0, 1] that a right item has a higher reward than a wrong one; ties count half.

    NaN where all are right or all are wrong.
    """
    labels = np.asarray(correct, dtype=bool)
    right, wrong = int(labels.sum()), int((~labels).sum())
    if not right or not wrong:
        return float("nan")
    ranks = rankdata(rewards)
    return float((ranks[labels].sum() - right * (right + 1) / 2) / (right * wrong))


def area_interval(
    rewards: Sequence[float],
    correct: Sequence[bool],
    *,
    groups: Sequence[object] | None = None,
    rounds: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """The 95 % bootstrap interval of `area_under_roc`.

    Args:
        rewards: Per item.
        correct: Per item.
        groups: Which group each item belongs to, such as the solution of a step. Groups are drawn whole; by default
            each item is drawn alone.
        rounds: How many samples are drawn, with replacement.
        seed: Of the random numbers.

    Returns:
        Lower and upper end; NaN where all are right or all are wrong.
    """
    rng = np.random.default_rng(seed)
    values, labels = np.asarray(rewards, dtype=float), np.asarray(correct, dtype=bool)
    if labels.all() or not labels.any():
        return float("nan"), float("nan")
    members: dict[object, list[int]] = {}
    for index, group in enumerate(range(len(values)) if groups is None else groups):
        members.setdefault(group, []).append(index)
    together = [np.array(indices) for indices in members.values()]
    areas = []
    for _ in range(rounds):
        drawn = np.concatenate([together[index] for index in rng.integers(len(together), size=len(together))])
        areas.append(area_under_roc(values[drawn].tolist(), labels[drawn].tolist()))
    low, high = np.nanpercentile(areas, [2.5, 97.5])
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class Area:
    """An area under the ROC curve and its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(
        cls,
        rewards: Sequence[float],
        correct: Sequence[bool],
        groups: Sequence[object] | None = None,
        *,
        rounds: int = 2000,
    ) -> "Area":
        """The area of these rewards; the arguments are those of `area_interval`."""
        low, high = area_interval(rewards, correct, groups=groups, rounds=rounds)
        return cls(area_under_roc(rewards, correct), low, high)

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def roc_curve(rewards: Sequence[float], correct: Sequence[bool]) -> tuple[list[float], list[float]]:
    """The ROC curve: the shares of wrong and of right items that each threshold accepts, from the highest down."""
    values, labels = np.asarray(rewards, dtype=float), np.asarray(correct, dtype=bool)
    order = np.argsort(-values, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(values[order]) != 0, True))  # ties are accepted together
    right, wrong = np.cumsum(labels[order])[ends], np.cumsum(~labels[order])[ends]
    return [0.0, *(wrong / max(1, wrong[-1])).tolist()], [0.0, *(right / max(1, right[-1])).tolist()]


@dataclass(frozen=True, slots=True)
class Bin:
    """The items whose rewards lie in one part of [0, 1]."""

    low: float
    high: float
    count: int
    reward: float
    """Mean reward."""
    right: float
    """Share of right ones."""


def reliability(rewards: Sequence[float], correct: Sequence[bool], bins: int = 10) -> list[Bin]:
    """The reliability table: for each bin of [0, 1] that is not empty, how often its items are right."""
    values, labels = np.asarray(rewards, dtype=float), np.asarray(correct, dtype=bool)
    part = np.minimum((values * bins).astype(int), bins - 1)
    return [
        Bin(
            index / bins,
            (index + 1) / bins,
            int(inside.sum()),
            float(values[inside].mean()),
            float(labels[inside].mean()),
        )
        for index in range(bins)
        if (inside := part == index).any()
    ]


def expected_calibration_error(table: Sequence[Bin]) -> float:
    """ECE in [0, 1]: the mean distance between mean reward and share of right ones, bins weighted by their counts.

    Guo et al. 2017, https://arxiv.org/abs/1706.04599, equation 3.
    """
    total = sum(each.count for each in table)
    return sum(each.count * abs(each.reward - each.right) for each in table) / total
