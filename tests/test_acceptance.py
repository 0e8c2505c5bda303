import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsd_graph.acceptance import acceptance_probability, accepts, sigmoid, uniform_draw
from rsd_graph.settings import RSDSettings, Weighting

rewards = st.floats(0, 1)
weightings = st.sampled_from(["step", "constant", "clipping", "sigmoidal", "logistic"])


@pytest.mark.parametrize(
    ("weighting", "reward", "expected"),
    [
        ("step", 0.7, 1.0),
        ("step", 0.6999, 0.0),
        ("constant", 0.0, 0.25),
        ("constant", 1.0, 0.25),
        ("clipping", 0.4, 0.4),
        ("sigmoidal", 1.0, 0.5),
        ("sigmoidal", 0.25, 0.2),
        ("logistic", 0.7, 0.5),
        ("logistic", 0.8, 1 / (1 + math.exp(-1))),
    ],
)
def test_each_weighting_function_is_the_papers(weighting: Weighting, reward: float, expected: float) -> None:
    """The values follow table 1 of the paper."""
    settings = RSDSettings(weighting=weighting, constant=0.25, alpha=10, threshold=0.7)
    assert acceptance_probability(reward, settings) == pytest.approx(expected)


@given(rewards, rewards, weightings, rewards, st.floats(0, 1000, exclude_min=True))
def test_a_better_step_is_never_less_likely_to_be_kept(
    first: float, second: float, weighting: Weighting, threshold: float, alpha: float
) -> None:
    """Every weighting function is a probability and does not fall as the reward rises."""
    settings = RSDSettings(weighting=weighting, threshold=threshold, alpha=alpha)
    low, high = sorted([first, second])
    assert 0 <= acceptance_probability(low, settings) <= acceptance_probability(high, settings) <= 1


@given(st.integers(0, 2**31 - 1), st.integers(0, 10_000))
def test_a_draw_depends_on_seed_and_step_alone(seed: int, step: int) -> None:
    """The same seed and step draw the same number, in [0, 1); the next step and the next seed draw others."""
    drawn = uniform_draw(seed, step)
    assert 0 <= drawn < 1
    assert uniform_draw(seed, step) == drawn
    assert drawn not in (uniform_draw(seed, step + 1), uniform_draw(seed + 1, step))


def test_draws_are_uniform() -> None:
    """A reward of 0.3 under clipping is accepted three times in ten."""
    settings = RSDSettings(weighting="clipping")
    kept = sum(accepts(0.3, settings, step) for step in range(10_000))
    assert kept == pytest.approx(3000, abs=150)


def test_draws_stay_the_same_between_versions() -> None:
    """A stored run must replay: these numbers never change."""
    assert uniform_draw(0, 0) == pytest.approx(0.1709622343137528, abs=1e-15)
    assert uniform_draw(7, 3) == pytest.approx(0.30584053485201546, abs=1e-15)


@given(st.integers(0, 100))
def test_certain_probabilities_are_not_drawn(step: int) -> None:
    """Threshold 0 keeps every step and threshold 1 only perfect ones, whatever the draw."""
    assert accepts(0.0, RSDSettings(threshold=0), step)
    assert not accepts(0.999, RSDSettings(threshold=1), step)
    assert accepts(1.0, RSDSettings(threshold=1), step)


@given(st.integers(0, 1000), st.integers(0, 100), rewards)
def test_a_step_is_kept_if_its_draw_is_below_its_probability(seed: int, step: int, reward: float) -> None:
    """`u < w(reward)`, strictly: the rule of the paper's algorithm 1, which a fork with another reward follows too."""
    settings = RSDSettings(weighting="clipping", seed=seed)
    assert accepts(reward, settings, step) is (uniform_draw(seed, step) < reward)
    assert not accepts(uniform_draw(seed, step), settings, step)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 100))
def test_a_constant_ignores_the_reward(first: float, second: float, step: int) -> None:
    """The paper's baseline: the same draws keep the same steps, whatever the reward."""
    settings = RSDSettings(weighting="constant", constant=0.5)
    assert accepts(first, settings, step) is accepts(second, settings, step)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_sigmoid_takes_any_number(x: float) -> None:
    """Without overflow at either end, and symmetric about one half."""
    assert 0 <= sigmoid(x) <= 1
    assert sigmoid(x) + sigmoid(-x) == pytest.approx(1)
