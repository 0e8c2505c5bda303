import math

import pytest

from rsd_graph.rewards.families.rlhflow import rlhflow
from tests.rewards.families.characters import Characters, score


def test_rlhflow_takes_each_step_as_a_turn() -> None:
    """Earlier ones were answered with a plus; the next answer's first token is read."""
    backend = Characters(math.log(0.3), math.log(0.1))
    assert score(rlhflow, backend, "one", "two") == pytest.approx(0.75)
    assert backend.prompt == "[user]2+2? one[end][assistant]+[end][user]two[end][assistant]"
    assert backend.asked_labels == ["+", "-"]
