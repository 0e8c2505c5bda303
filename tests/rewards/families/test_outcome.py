import math
from functools import partial

import pytest

from rsd_graph.errors import RewardError
from rsd_graph.rewards.families.outcome import outcome
from tests.rewards.families.characters import Characters, score


def test_an_outcome_model_maps_its_number_into_the_range() -> None:
    """One label by a logistic curve, two by their softmax; three are none of ours."""
    backend = Characters(3.0)
    shifted = partial(outcome, centre=1.0, scale=2.0)
    assert score(shifted, backend, "one", "two") == pytest.approx(1 / (1 + math.exp(-1)))
    assert backend.prompt == "[user]2+2?[end][assistant]one\n\ntwo[end]"
    assert score(outcome, Characters(0.0, math.log(3)), "one") == pytest.approx(0.75)
    with pytest.raises(RewardError, match="3 labels"):
        score(outcome, Characters(1.0, 2.0, 3.0), "one")
