import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsd_graph import TokenUsage, Usage
from rsd_graph.costs import Parameters, flops

counts = st.integers(0, 10_000)
token_usages = st.builds(
    lambda cached, more, completion: TokenUsage(cached + more, cached, completion), counts, counts, counts
)
usages = st.builds(Usage, token_usages, token_usages, token_usages, counts, counts, counts)


def test_flops_follow_the_papers_rule() -> None:
    """Two operations per parameter and token, cached prompt tokens free, discarded drafts paid."""
    usage = Usage(
        draft=TokenUsage(prompt=100, cached=60, completion=30),
        target=TokenUsage(prompt=50, cached=0, completion=10),
        reward=TokenUsage(prompt=20, cached=5, completion=1),
        discarded=10,
        question=20,
        response=30,
    )
    cost = flops(usage, Parameters(draft=1e9, target=10e9, reward=2e9))
    assert cost.draft == 2 * 1e9 * 70
    assert cost.target == 2 * 10e9 * 60
    assert cost.reward == 2 * 2e9 * 16
    assert cost.target_only == 2 * 10e9 * 50
    assert cost.saving == pytest.approx(1 - cost.total / cost.target_only)


@given(usages, usages)
def test_costs_add_up(first: Usage, second: Usage) -> None:
    """Two runs together cost what each costs."""
    sizes = Parameters(1, 3, 2)
    assert flops(first + second, sizes).total == flops(first, sizes).total + flops(second, sizes).total


def test_nothing_counted_is_nothing_saved() -> None:
    """A backend that reports no tokens gives no division by zero."""
    assert flops(Usage(), Parameters(1, 2)).saving == 0


@given(usages)
def test_cached_and_discarded_tokens_are_counted_once(usage: Usage) -> None:
    """Discarded drafts are already in the draft's completion; a token found in a cache costs nothing."""
    cost = flops(usage, Parameters(1, 10, 5))
    assert cost == flops(dataclasses.replace(usage, discarded=0), Parameters(1, 10, 5))
    warmer = dataclasses.replace(usage, target=dataclasses.replace(usage.target, cached=usage.target.prompt))
    assert flops(warmer, Parameters(1, 10, 5)).target == 2 * 10 * usage.target.completion


def test_the_target_alone_saves_nothing() -> None:
    """A run in which the target wrote every step, and read the question once, costs what the target alone costs."""
    alone = Usage(target=TokenUsage(prompt=20, completion=30), question=20, response=30)
    assert flops(alone, Parameters(1, 10)).saving == 0


def test_a_run_may_cost_more_than_the_target_alone() -> None:
    """The saving is negative then, not zero: rejected drafts and re-reading are paid for."""
    wasteful = Usage(
        draft=TokenUsage(prompt=20, completion=30),
        target=TokenUsage(prompt=40, completion=30),
        discarded=30,
        question=20,
        response=30,
    )
    assert flops(wasteful, Parameters(1, 10)).saving == pytest.approx(1 - (50 + 700) / 500)


def test_a_reward_without_a_model_is_free() -> None:
    """The draft's confidence costs no operation, whatever it counts."""
    usage = Usage(reward=TokenUsage(prompt=100, completion=100))
    assert flops(usage, Parameters(1, 2)).reward == 0
