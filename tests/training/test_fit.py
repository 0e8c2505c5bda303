from dataclasses import replace

import numpy as np
import pytest
import torch

from rsd_graph.errors import ConfigurationError
from rsd_graph.training.fit import LEAST_SLOPE, _platt, fit_curve, split
from rsd_graph.training.hidden_states import SolutionStates
from tests.training.examples import states_of


@pytest.mark.parametrize(("count", "labels"), [(60, [1.0]), (60, [0.0]), (8, [0.0, 1.0])])
def test_too_little_to_learn_from_is_said(count: int, labels: list[float]) -> None:
    """One class only, or too few problems."""
    solutions = [states_of(str(number), torch.tensor([labels[number % len(labels)]])) for number in range(count)]
    with pytest.raises(ConfigurationError, match="too little to"):
        split(solutions, 0.2, seed=0)


def test_all_solutions_of_a_problem_are_on_one_side() -> None:
    """Nothing that is held out has been trained on, in other words; the same seed splits alike."""
    labels = torch.tensor([1.0, 0.0])
    solutions = [states_of(str(number % 60), labels) for number in range(120)]
    training, held_out = split(solutions, 0.2, seed=0)
    assert {each.problem for each in training}.isdisjoint(each.problem for each in held_out)
    assert (len(training), len(held_out)) == (96, 24)
    assert [each.problem for each in split(solutions, 0.2, seed=0)[1]] == [each.problem for each in held_out]


def test_a_step_of_unknown_label_weighs_nothing() -> None:
    """It counts neither as right nor as wrong when there is too little of either."""
    labels = torch.tensor([1.0, 0.0, float("nan")])
    solutions = [states_of(str(number), labels) for number in range(60)]
    training, held_out = split(solutions, 0.2, seed=0)
    assert (len(training), len(held_out)) == (48, 12)
    unknown = [replace(each, labels=torch.full((3,), float("nan"))) for each in solutions]
    with pytest.raises(ConfigurationError, match="with 0 right and 0 wrong steps"):
        split(unknown, 0.2, seed=0)


def test_calibration_finds_the_line_and_never_reverses_a_reward() -> None:
    """Logits twice as sure as the labels are halved; those that are reversed become the share of right steps."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=4000) * 2
    labels = torch.from_numpy((rng.random(4000) < 1 / (1 + np.exp(-(0.5 * logits + 1)))).astype(np.float32))
    slope, intercept = _platt(logits, [states_of("p", labels)])
    assert (slope, intercept) == pytest.approx((0.5, 1.0), abs=0.1)
    slope, intercept = _platt(-logits, [states_of("p", labels)])
    assert slope == LEAST_SLOPE
    assert 1 / (1 + np.exp(-intercept)) == pytest.approx(float(labels.mean()), abs=1e-3)


def test_the_surprisal_is_weighed_against_the_reward() -> None:
    """From outcomes alone; not without log-probabilities, and not from a handful of solutions."""
    generator = np.random.default_rng(0)
    solutions, log_odds = [], generator.normal(size=9000)
    for number in range(3000):
        nats = torch.from_numpy(generator.exponential(3.0, 3)).float()
        logits = 3.0 + 0.5 * log_odds[3 * number : 3 * number + 3] - np.log1p(nats.numpy())
        correct = bool((generator.random(3) < 1 / (1 + np.exp(-logits))).all())
        solutions.append(SolutionStates(str(number), torch.zeros(3, 4), torch.arange(3), torch.ones(3), correct, nats))
    curve = fit_curve(log_odds, solutions)
    assert curve is not None
    assert (curve.intercept, curve.value, curve.surprisal) == pytest.approx((3.0, 0.5, 1.0), abs=0.3)
    assert fit_curve(log_odds[:30], solutions[:10]) is None
    assert fit_curve(log_odds, [replace(solutions[0], surprisals=None), *solutions[1:]]) is None
