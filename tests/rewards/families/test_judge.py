import math

import pytest

from rsd_graph.rewards.families.judge import judge
from tests.rewards.families.characters import Characters, score


def test_the_judge_is_asked_for_yes_or_no() -> None:
    """The same question as a chat model gets, and the two words' own tokens."""
    backend = Characters(math.log(0.3), math.log(0.1), markers=["Yes", "No"])
    assert score(judge, backend, "one", "two") == pytest.approx(0.75)
    assert "Steps so far:\none\n\nNewest step:\ntwo\n" in backend.prompt
    assert backend.prompt.endswith("[end][assistant]")
    assert backend.asked_labels == ["Yes", "No"]
