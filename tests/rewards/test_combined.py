import asyncio
import math

import pytest
from langchain_core.messages import HumanMessage

from rsd_graph import Generation
from rsd_graph.errors import RewardError
from rsd_graph.rewards.combined import CombinedReward, StepCalibration, log_odds
from rsd_graph.testing import ScriptedReward

CURVE = StepCalibration(intercept=1.0, value=0.5, surprisal=1.0)


def score(trained: float, candidate: Generation) -> float:
    reward = CombinedReward(ScriptedReward([trained]), CURVE)
    return asyncio.run(reward.score([HumanMessage("2+2?")], [], [candidate]))[0].reward


def test_both_count() -> None:
    """Log-odds of the trained reward and the logarithm of the surprisal, weighed and added."""
    step = Generation("step", "delimiter", logprobs=(-1.0, -2.0))
    expected = 1 / (1 + math.exp(-(1.0 + 0.5 * math.log(0.8 / 0.2) - math.log(4.0))))
    assert score(0.8, step) == pytest.approx(expected)
    assert score(0.8, step) > score(0.2, step) > score(0.2, Generation("step", "delimiter", logprobs=(-9.0,)))


def test_a_sure_trained_reward_is_no_infinity() -> None:
    """0 and 1 are taken for very small and very large."""
    step = Generation("step", "delimiter", logprobs=(-1.0,))
    assert 0 < score(0.0, step) < score(1.0, step) < 1
    assert log_odds(1.0) == pytest.approx(-log_odds(0.0))


def test_an_end_without_a_word_is_left_to_the_target() -> None:
    """As the confidence does."""
    assert score(0.9, Generation("", "eos", logprobs=())) == 0


def test_a_backend_without_logprobs_is_named() -> None:
    """No reward is made up."""
    with pytest.raises(RewardError, match="log-probabilities"):
        score(0.9, Generation("step", "delimiter"))
