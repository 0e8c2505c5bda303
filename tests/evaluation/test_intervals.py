import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from rsd_graph.evaluation.intervals import mcnemar, paired_difference, wilson


@given(st.integers(1, 500), st.floats(0, 1))
def test_the_interval_of_a_share_is_that_of_scipy(total: int, share: float) -> None:
    """And it holds the share."""
    right = round(total * share)
    interval = wilson(right, total)
    expected = binomtest(right, total).proportion_ci(method="wilson")
    assert interval.low == pytest.approx(expected.low, abs=1e-9)
    assert interval.high == pytest.approx(expected.high, abs=1e-9)
    assert interval.low - 1e-12 <= interval.value <= interval.high + 1e-12


@pytest.mark.parametrize(("right", "total"), [(0, 0), (-1, 5), (6, 5)])
def test_a_share_that_is_none_is_refused(right: int, total: int) -> None:
    """Rather than an interval of nothing."""
    with pytest.raises(ValueError, match="right ones among"):
        wilson(right, total)


def test_strategies_are_compared_on_the_problems_they_share() -> None:
    """The exact test knows only those on which they differ: here 1 to 9."""
    first = {str(index): index < 9 for index in range(30)} | {"alone": True}
    second = {str(index): index == 20 for index in range(30)}
    found = mcnemar(first, second)
    assert (found.problems, found.only_first, found.only_second) == (30, 9, 1)
    assert found.difference == pytest.approx(8 / 30)
    assert found.p_value == pytest.approx(2 * (1 + 10) / 2**10)


def test_equal_strategies_do_not_differ() -> None:
    """There is nothing to test."""
    found = mcnemar({"a": True, "b": False}, {"a": True, "b": False})
    assert (found.difference, found.p_value) == (0, 1)


def test_strategies_without_a_common_problem_are_not_compared() -> None:
    """They are of different data sets."""
    with pytest.raises(ValueError, match="share no problem"):
        mcnemar({"a": True}, {"b": True})


def test_pairs_are_far_surer_than_separate_runs() -> None:
    """Problems of very different length, each one second faster: the interval knows it."""
    second = [float(2**index) for index in range(12)]
    first = [seconds - 1 for seconds in second]
    found = paired_difference(first, second)
    assert (found.value, found.low, found.high) == (-1, -1, -1)


def test_the_interval_of_a_difference_is_seeded() -> None:
    """The same seed gives the same interval, and it is about as wide as the standard error says."""
    first = [float(index % 7) for index in range(200)]
    second = [float(index % 5) for index in range(200)]
    found = paired_difference(first, second)
    assert found == paired_difference(first, second)
    apart = [a - b for a, b in zip(first, second, strict=True)]
    mean = sum(apart) / 200
    error = math.sqrt(sum((each - mean) ** 2 for each in apart) / 200 / 200)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.15)


def test_measures_that_do_not_pair_are_refused() -> None:
    """Neither too few nor none."""
    with pytest.raises(ValueError, match="in pairs"):
        paired_difference([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="in pairs"):
        paired_difference([], [])


def test_solving_a_problem_again_makes_nothing_surer() -> None:
    """Problems are the sample. Seven that each were solved four times are seven, and each is won by the better one."""
    first = dict.fromkeys("abcdef", 0.75) | {"g": 0.5}
    second = dict.fromkeys("abcdef", 0.25) | {"g": 0.5}
    found = mcnemar(first, second)
    assert (found.problems, found.only_first, found.only_second) == (7, 6, 0)
    assert found.difference == pytest.approx(3 / 7)
    assert found.p_value == pytest.approx(2 / 2**6)
    assert wilson(2.5, 5).low < wilson(25, 50).low
