import math

import pytest

from rsd_graph.errors import RewardError
from rsd_graph.rewards.families.skywork import skywork
from tests.rewards.families.characters import Characters, score


def test_skywork_reads_the_sigmoid_after_each_steps_end() -> None:
    """The problem and a line break, then each step and one token for its end: the delimiter's last."""
    backend = Characters(math.log(3))
    assert score(skywork, backend, "one", "", "two") == pytest.approx(0.75)
    assert backend.prompt == "<|endoftext|>2+2?\none\n\ntwo\n"


def test_a_head_of_another_model_is_refused() -> None:
    """Skywork's has one label."""
    with pytest.raises(RewardError, match="2 labels"):
        score(skywork, Characters(0.0, 0.0), "one")


def test_the_beginning_stands_also_before_an_empty_problem() -> None:
    """And an empty step is still followed by its end token."""
    backend = Characters(0.0)
    score(skywork, backend, "")
    assert backend.prompt == "<|endoftext|>2+2?\n\n"
