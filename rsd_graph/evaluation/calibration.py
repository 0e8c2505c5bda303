"""Fit rewards of single steps to solutions of which only the final answer is known.

The steps' labels are not known, only whether each solution's final answer is right. Assume that a solution is right
exactly if all its steps are, and that steps are right independently of each other, given what is known of each. Then

    P(solution right) = product over its steps of reward(step)

and the numbers of a reward `sigmoid(intercept + weights . features)` follow by maximum likelihood. A reward of 0.7 then
means that such a step is right seven times in ten, as far as the assumption of independent steps holds.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize

from rsd_graph.data.solutions import Solution, split_by_problem
from rsd_graph.errors import ConfigurationError
from rsd_graph.rewards.confidence import ConfidenceReward, surprisal

MINIMUM = 20
"""Fewest right and fewest wrong solutions to fit a curve to."""
FOLDS = 5


def fit_confidence(solutions: Sequence[Solution]) -> ConfidenceReward:
    """Fit the confidence reward under which these solutions' outcomes are most likely.

    Args:
        solutions: Of the draft, with their tokens' log-probabilities, on problems that no test uses.

    Raises:
        ConfigurationError: fewer than 20 right or 20 wrong solutions.
    """
    correct = np.array([solution.correct for solution in solutions])
    if not enough(correct):
        raise ConfigurationError(
            f"calibration needs at least {MINIMUM} right and {MINIMUM} wrong solutions, got {correct.sum()} right and "
            f"{(~correct).sum()} wrong: record more"
        )
    return _fitted(solutions)


def held_out_confidence(solutions: Sequence[Solution]) -> tuple[np.ndarray, np.ndarray]:
    """How well such a curve does on problems that it was not fitted to: five folds, each with a curve of its own.

    Args:
        solutions: As for `fit_confidence`.

    Returns:
        For each solution the product of its steps' rewards, and whether it is right; both of shape (solutions,).
    """
    products, correct = [], []
    for training, held_out in split_by_problem(solutions, FOLDS):
        reward = _fitted(training)
        products += [math.prod(reward.reward(surprisal(step)) for step in each.steps) for each in held_out]
        correct += [each.correct for each in held_out]
    return np.array(products), np.array(correct)


def _fitted(solutions: Sequence[Solution]) -> ConfidenceReward:
    correct = np.array([solution.correct for solution in solutions])
    logs = np.array([[np.log1p(surprisal(step))] for solution in solutions for step in solution.steps])
    owner = np.repeat(np.arange(len(solutions)), [len(solution.steps) for solution in solutions])
    intercept, weight = fit_steps(logs, owner, correct)
    return ConfidenceReward(intercept=intercept, slope=-weight)


def enough(correct: np.ndarray) -> bool:
    """Whether there are enough right and wrong solutions, shape (solutions,), to fit a curve to."""
    right = int(correct.sum())
    return min(right, len(correct) - right) >= MINIMUM


def fit_steps(features: np.ndarray, owner: np.ndarray, correct: np.ndarray) -> tuple[float, ...]:
    """Fit the intercept and weights under which the outcomes are most likely.

    Args:
        features: Per step, shape (steps, features).
        owner: Index of each step's solution, shape (steps,).
        correct: Whether each solution's final answer is right, shape (solutions,).
    """

    def negative_log_likelihood(numbers: np.ndarray) -> float:
        log_rewards = -np.logaddexp(0, -(numbers[0] + features @ numbers[1:]))
        log_right = np.minimum(np.bincount(owner, log_rewards), -1e-12)
        return float(-np.where(correct, log_right, np.log(-np.expm1(log_right))).sum())

    start = np.array([2.0] + [0.0] * features.shape[1])
    fitted = minimize(negative_log_likelihood, x0=start, method="Nelder-Mead")
    return tuple(float(number) for number in fitted.x)
