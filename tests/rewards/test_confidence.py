import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsd_graph import Generation
from rsd_graph.errors import RewardError
from rsd_graph.rewards.confidence import ConfidenceReward, surprisal


def score(*logprobs: float) -> float:
    candidate = Generation("step", "delimiter", logprobs=logprobs)
    return asyncio.run(ConfidenceReward().score([], [], [candidate]))[0].reward


def test_a_sure_step_is_better_than_an_unsure_one() -> None:
    """The default curve: certain steps near 1, ten nats near 0.5, a hundred near 0."""
    assert score(-0.01, -0.01) > 0.99
    assert 0.4 < score(-5, -5.5) < 0.6
    assert score(-50, -50) < 0.02


@given(st.floats(0, 1e300), st.floats(0, 1e300))
def test_rewards_fall_with_surprisal(first: float, second: float) -> None:
    """A reward is in [0, 1] and never rises with the surprisal."""
    low, high = sorted([first, second])
    reward = ConfidenceReward().reward
    assert 0 <= reward(high) <= reward(low) <= 1


def test_surprisal_sums_over_the_tokens() -> None:
    """In nats; rounding above zero does not make it negative."""
    assert surprisal(Generation("x", "eos", logprobs=(-1.0, -2.5))) == 3.5
    assert surprisal(Generation("x", "eos", logprobs=(1e-9,))) == 0


def test_a_backend_without_logprobs_is_named() -> None:
    """No reward is made up."""
    with pytest.raises(RewardError, match="log-probabilities"):
        asyncio.run(ConfidenceReward().score([], [], [Generation("x", "eos")]))


def test_an_end_without_a_word_is_left_to_the_target() -> None:
    """A draft that ends the text at once shows no confidence in anything."""
    assert score() == 0
    restored = Generation("", "eos", logprobs=[])  # type: ignore[arg-type]  # as a checkpoint gives it back
    assert asyncio.run(ConfidenceReward().score([], [], [restored]))[0].reward == 0
