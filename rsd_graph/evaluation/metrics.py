"""How well a reward separates right from wrong: pure."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata


def area_under_roc(rewards: Sequence[float], correct: Sequence[bool]) -> float:
    """The probability in [0, 1] that a right one has a higher reward than a wrong one, ties counting half.

    NaN where all are right or all are wrong.
    """
    labels = np.asarray(correct, dtype=bool)
    right, wrong = int(labels.sum()), int((~labels).sum())
    if not right or not wrong:
        return float("nan")
    ranks = rankdata(rewards)
    return float((ranks[labels].sum() - right * (right + 1) / 2) / (right * wrong))


def area_interval(
    rewards: Sequence[float], correct: Sequence[bool], *, rounds: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """The 95 % bootstrap interval of `area_under_roc`."""
    rng = np.random.default_rng(seed)
    values, labels = np.asarray(rewards, dtype=float), np.asarray(correct, dtype=bool)
    areas = []
    for _ in range(rounds):
        sample = rng.integers(len(values), size=len(values))
        areas.append(area_under_roc(values[sample].tolist(), labels[sample].tolist()))
    low, high = np.nanpercentile(areas, [2.5, 97.5])
    return float(low), float(high)
