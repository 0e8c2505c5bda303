import asyncio

import pytest

from rsd_graph import Generation
from rsd_graph.data.solutions import Solution
from rsd_graph.errors import ConfigurationError, RewardError
from rsd_graph.evaluation.scoring import evaluate
from rsd_graph.testing import ScriptedReward


def solution(correct: bool, *steps: str) -> Solution:
    return Solution("2+2?", tuple(Generation(step, "delimiter") for step in steps), correct)


def test_every_step_is_scored_as_the_newest_of_those_before_it() -> None:
    """In order, each solution on its own; progress counts solutions."""
    reward = ScriptedReward([0.9, 0.4])
    told: list[tuple[str, float, float]] = []
    done = asyncio.run(evaluate(reward, [solution(True, "one", "two")], lambda *now: told.append(now)))
    assert done.rewards == [[0.9, 0.4]]
    assert told == [("scoring", 1, 1)]


def test_an_error_of_the_reward_ends_the_evaluation() -> None:
    """As itself, not in a group of errors."""
    broken = ScriptedReward([RewardError("no reward")])
    with pytest.raises(RewardError, match="no reward"):
        asyncio.run(evaluate(broken, [solution(True, "one")] * 3))
    with pytest.raises(ConfigurationError, match="no solution"):
        asyncio.run(evaluate(broken, []))
