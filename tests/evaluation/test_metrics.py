import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsd_graph.evaluation.metrics import (
    area_interval,
    area_under_roc,
    expected_calibration_error,
    reliability,
    roc_curve,
)


@pytest.mark.parametrize(
    ("rewards", "correct", "area"),
    [
        ([0.1, 0.2, 0.8, 0.9], [False, False, True, True], 1.0),
        ([0.9, 0.8, 0.2, 0.1], [False, False, True, True], 0.0),
        ([0.5, 0.5, 0.5, 0.5], [False, True, False, True], 0.5),
        ([0.1, 0.4, 0.35, 0.8], [False, False, True, True], 0.75),
    ],
)
def test_the_area_counts_pairs_in_the_right_order(rewards: list[float], correct: list[bool], area: float) -> None:
    """Ties count half."""
    assert area_under_roc(rewards, correct) == area


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=30))
def test_the_area_is_that_of_its_definition(pairs: list[tuple[float, bool]]) -> None:
    """As counted pair by pair."""
    right = [reward for reward, correct in pairs if correct]
    wrong = [reward for reward, correct in pairs if not correct]
    area = area_under_roc([reward for reward, _ in pairs], [correct for _, correct in pairs])
    if not right or not wrong:
        assert math.isnan(area)
    else:
        wins = sum((good > bad) + (good == bad) / 2 for good in right for bad in wrong)
        assert area == pytest.approx(wins / (len(right) * len(wrong)))


def test_the_interval_holds_the_area_and_narrows_with_data() -> None:
    """Four times as many give about half the width."""
    rewards, correct = [0.1, 0.6, 0.4, 0.9, 0.3, 0.7] * 10, [False, False, True, True, False, True] * 10
    low, high = area_interval(rewards, correct)
    assert low < area_under_roc(rewards, correct) < high
    narrow = area_interval(rewards * 4, correct * 4)
    assert narrow[1] - narrow[0] < 0.65 * (high - low)


def test_the_roc_curve_takes_ties_together() -> None:
    """From nothing accepted to everything; one point for equal rewards."""
    wrong, right = roc_curve([0.9, 0.5, 0.5, 0.1], [True, True, False, False])
    assert wrong == [0, 0, 0.5, 1]
    assert right == [0, 0.5, 1, 1]


def test_reliability_counts_tenths_and_their_error() -> None:
    """Two rewards of 0.95, one of them right; a reward of 1 belongs to the last tenth."""
    table = reliability([0.95, 0.95, 1.0, 0.05], [True, False, True, False])
    assert [(each.low, each.count) for each in table] == [(0.0, 1), (0.9, 3)]
    assert expected_calibration_error(table) == pytest.approx(0.25 * 0.05 + 0.75 * (2.9 / 3 - 2 / 3))


def test_the_interval_draws_groups_whole() -> None:
    """Steps of one solution are no independent evidence: the interval is wider."""
    rewards = [0.9, 0.9, 0.9, 0.4, 0.4, 0.4, 0.6, 0.6, 0.6, 0.2, 0.2, 0.2]
    correct = [True] * 3 + [True] * 3 + [False] * 6
    groups = [index // 3 for index in range(12)]
    low, high = area_interval(rewards, correct, groups=groups)
    alone = area_interval(rewards, correct)
    assert high - low > alone[1] - alone[0]
    assert math.isnan(area_interval([0.1, 0.2], [True, True])[0])
