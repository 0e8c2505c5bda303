"""How sure a comparison of strategies is: pure functions.

Intervals of separate runs mislead where the runs share their problems: most of what they show is how hard the problems
are. Differences are therefore judged problem by problem.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, norm


@dataclass(frozen=True, slots=True)
class Interval:
    """A number and its confidence interval."""

    value: float
    low: float
    high: float


def wilson(right: float, total: int, *, confidence: float = 0.95) -> Interval:
    """A share and its Wilson score interval (Wilson 1927), which stays in [0, 1] and holds for few problems too.

    Args:
        right: How many are right. Of one that was solved several times, the share that is right counts: the interval is
            then too wide rather than too narrow.
        total: How many there are, at least 1.
        confidence: In (0, 1).

    Raises:
        ValueError: `total` is not positive, or `right` does not lie in [0, `total`].
    """
    if total <= 0 or not 0 <= right <= total:
        raise ValueError(f"there are no {right} right ones among {total}")
    z = float(norm.ppf((1 + confidence) / 2))
    share = right / total
    scale = 1 + z * z / total
    middle = (share + z * z / (2 * total)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))


@dataclass(frozen=True, slots=True)
class Paired:
    """Two strategies on the same problems."""

    problems: int
    """Those that both have answered."""
    only_first: int
    """Problems that the first alone has right, or has right more often."""
    only_second: int
    """Problems that the second alone has right, or has right more often."""
    difference: float
    """Accuracy of the first less that of the second, in [-1, 1]."""
    p_value: float
    """Of the exact McNemar test: how likely a split at least as uneven is if both are equally good."""


def mcnemar(first: Mapping[str, float], second: Mapping[str, float]) -> Paired:
    """Compare two strategies on the problems that both have answered, by the exact McNemar test (two-sided).

    Solutions of the same problem are not independent. A problem that was solved several times therefore counts once,
    for the strategy that has it right more often: the exact sign test, which is McNemar's if each was solved once.

    Args:
        first: Whether each problem is right, or the share of its solutions that is, by its id.
        second: As `first`.

    Raises:
        ValueError: they share no problem.
    """
    shared = first.keys() & second.keys()
    if not shared:
        raise ValueError("the two share no problem")
    only_first = sum(first[each] > second[each] for each in shared)
    only_second = sum(second[each] > first[each] for each in shared)
    difference = math.fsum(first[each] - second[each] for each in shared) / len(shared)
    apart = only_first + only_second
    p_value = float(binomtest(only_first, apart, 0.5).pvalue) if apart else 1.0
    return Paired(len(shared), only_first, only_second, difference, p_value)


def paired_difference(
    first: Sequence[float], second: Sequence[float], *, rounds: int = 2000, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """The mean difference of two measures of the same problems, with its bootstrap interval.

    It fits seconds and FLOPs, and accuracies over several epochs.

    Args:
        first: A measure of each problem.
        second: The measure that it is compared with, in the same order.
        rounds: How many samples of problems are drawn, with replacement.
        seed: Of the random numbers.
        confidence: In (0, 1).

    Raises:
        ValueError: there is no problem, or not the same number of both.
    """
    if not first or len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} measures cannot be compared in pairs")
    apart = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    drawn = np.random.default_rng(seed).integers(len(apart), size=(rounds, len(apart)))
    tail = 50 * (1 - confidence)
    low, high = np.percentile(apart[drawn].mean(axis=1), [tail, 100 - tail])
    return Interval(float(apart.mean()), float(low), float(high))
