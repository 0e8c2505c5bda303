"""Fit the confidence reward to a draft model of one's own.

A step's label is unknown; a solution's final answer is known to be right or wrong. Take a solution to be right exactly
if all
its steps are, and steps to be right independently of each other given their surprisal: then

    P(solution right) = product over its steps of reward(surprisal of the step)

and the two numbers of `ConfidenceReward` follow by maximum likelihood. A reward of 0.7 then means that such a step is
right seven times in ten, as far as the model of independent steps holds.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize

from rsd_graph.errors import ConfigurationError
from rsd_graph.evaluation.solutions import Solution
from rsd_graph.rewards.confidence import ConfidenceReward, surprisal

MINIMUM = 20
"""Fewest right and fewest wrong solutions that two numbers are fitted to."""


def fit_confidence(solutions: Sequence[Solution]) -> ConfidenceReward:
    """The confidence reward under which these solutions' outcomes are likeliest.

    Args:
        solutions: Of the draft model, with their tokens' log-probabilities, on problems that are not tested on.

    Raises:
        ConfigurationError: fewer than 20 right or 20 wrong solutions.
    """
    right = sum(solution.correct for solution in solutions)
    if min(right, len(solutions) - right) < MINIMUM:
        raise ConfigurationError(
            f"calibration needs at least {MINIMUM} right and {MINIMUM} wrong solutions, got {right} right and "
            f"{len(solutions) - right} wrong: record more"
        )
    logs = np.array([np.log1p(surprisal(step)) for solution in solutions for step in solution.steps])
    owner = np.repeat(np.arange(len(solutions)), [len(solution.steps) for solution in solutions])
    correct = np.array([solution.correct for solution in solutions])

    def negative_log_likelihood(numbers: np.ndarray) -> float:
        intercept, slope = numbers
        log_rewards = -np.logaddexp(0, slope * logs - intercept)
        log_right = np.minimum(np.bincount(owner, log_rewards), -1e-12)
        return float(-np.where(correct, log_right, np.log(-np.expm1(log_right))).sum())

    fitted = minimize(negative_log_likelihood, x0=np.array([5.0, 2.0]), method="Nelder-Mead")
    intercept, slope = (float(number) for number in fitted.x)
    return ConfidenceReward(intercept=intercept, slope=slope)
