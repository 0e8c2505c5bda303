import math

import pytest

from rsd_graph.errors import RewardError
from rsd_graph.rewards.families.qwen_prm import SYSTEM_PROMPT, qwen_prm
from tests.rewards.families.characters import Characters, score


def test_qwens_reward_is_the_second_of_two_labels_at_the_last_marker() -> None:
    """What closes the turn after it is left out."""
    backend = Characters(0.0, math.log(3))
    assert score(qwen_prm, backend, "one", "two <extra_0> x") == pytest.approx(0.75)
    assert backend.prompt == (
        f"[system]{SYSTEM_PROMPT}[end][user]2+2?[end][assistant]one<extra_0>two <extra_0> x<extra_0>"
    )


def test_a_model_that_lacks_the_marker_is_refused() -> None:
    """Another model's tokenizer would split it, and the reward would mean nothing."""
    with pytest.raises(RewardError, match="no Qwen2"):
        score(qwen_prm, Characters(0.0, 0.0, markers=[]), "one")


def test_a_head_of_another_model_is_refused() -> None:
    """Qwen's has two labels."""
    with pytest.raises(RewardError, match="1 labels"):
        score(qwen_prm, Characters(0.0), "one")
