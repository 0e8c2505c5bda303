import random

import numpy as np
import pytest

from rsd_graph import Generation
from rsd_graph.data.solutions import Solution
from rsd_graph.errors import ConfigurationError
from rsd_graph.evaluation.calibration import fit_confidence, fit_steps
from rsd_graph.rewards.confidence import ConfidenceReward


def solutions_of(truth: ConfidenceReward, count: int, seed: int = 0) -> list[Solution]:
    """Solutions whose steps are right as often as `truth` says."""
    rng = random.Random(seed)
    solutions = []
    for number in range(count):
        surprisals = [rng.expovariate(0.2) for _ in range(rng.randint(1, 8))]
        correct = all(rng.random() < truth.reward(each) for each in surprisals)
        steps = tuple(Generation("s", "delimiter", logprobs=(-each,)) for each in surprisals)
        solutions.append(Solution(str(number), steps, correct))
    return solutions


def test_calibration_finds_the_curve_that_made_the_data() -> None:
    """From outcomes of whole solutions alone, rewards of single steps come back within 0.05."""
    truth = ConfidenceReward(intercept=4.0, slope=1.5)
    fitted = fit_confidence(solutions_of(truth, 4000))
    for nats in (0.5, 2, 5, 10, 20):
        assert fitted.reward(nats) == pytest.approx(truth.reward(nats), abs=0.05)


def test_several_features_are_weighed() -> None:
    """Intercept and weights come back from outcomes of whole solutions."""
    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(4000), 4)
    features = rng.normal(size=(len(owner), 2))
    right = rng.random(len(owner)) < 1 / (1 + np.exp(-(2.0 + features @ [1.0, -0.5])))
    correct = np.bincount(owner, ~right) == 0
    assert fit_steps(features, owner, correct) == pytest.approx((2.0, 1.0, -0.5), abs=0.15)


def test_too_few_solutions_are_refused() -> None:
    """And the message says how many there are."""
    with pytest.raises(ConfigurationError, match="got 0 right and 30 wrong"):
        fit_confidence([Solution("p", (Generation("s", "eos", logprobs=(-1.0,)),), False)] * 30)
