import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsd_graph.evaluation.metrics import area_interval, area_under_roc


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
