import math

import pytest

from rsd_graph.errors import RewardError
from rsd_graph.rewards.families.math_shepherd import math_shepherd
from tests.rewards.families.characters import Characters, score


def test_math_shepherd_asks_for_plus_or_minus_after_the_tag() -> None:
    """One line a step, each with its number once."""
    backend = Characters(math.log(0.6), math.log(0.2), markers=["ки"])
    with pytest.raises(RewardError, match="no Math-Shepherd"):  # `+ -` are three characters
        score(math_shepherd, backend, "one")
    backend.markers += ["+", " -"]
    assert score(math_shepherd, backend, "one", "Step 2: two") == pytest.approx(0.75)
    assert backend.prompt == "^2+2? Step 1: one ки\nStep 2: two ки"
    assert backend.asked_labels == ["+", " -"]
