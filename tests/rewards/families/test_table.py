import re

import pytest

from rsd_graph.errors import ConfigurationError
from rsd_graph.rewards.families import FAMILIES, family_of_kind, recognize, score_last_step
from tests.rewards.families.characters import Characters, score


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("Skywork/Skywork-o1-Open-PRM-Qwen-2.5-7B", "skywork"),
        ("/models/skywork-o1-open-prm-qwen-2.5-1.5b", "skywork"),
        ("Qwen/Qwen2.5-Math-PRM-72B", "qwen-prm"),
        ("Qwen/Qwen2.5-Math-7B-PRM800K", "qwen-prm"),
        ("peiyi9979/math-shepherd-mistral-7b-prm", "math-shepherd"),
        ("RLHFlow/Llama3.1-8B-PRM-Deepseek-Data", "rlhflow"),
        ("Qwen/Qwen2.5-72B-Instruct", None),
        ("Qwen/Qwen2.5-Math-RM-72B", None),
    ],
)
def test_known_models_are_recognized_by_name(model: str, kind: str | None) -> None:
    """As they are called on the hub, or in a folder."""
    assert recognize(model) == kind
    assert kind is None or kind in FAMILIES


def test_a_family_takes_the_options_that_it_knows() -> None:
    """`[reward]` may hold keys of another family."""
    assert score(score_last_step("outcome", centre=2.0, scale=1.0), Characters(2.0), "one") == 0.5
    assert score(score_last_step("skywork", centre=2.0, scale=1.0), Characters(0.0), "one") == 0.5


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    """A typing error is found at once."""
    with pytest.raises(ConfigurationError, match="'prm' is no kind of process reward model; there are skywork"):
        family_of_kind("prm")


def test_architectures_that_vllm_lacks_name_importable_classes() -> None:
    """As "module:Class" of our plug-in; the module itself needs vLLM and torch."""
    wheres = {where for each in FAMILIES.values() for where in each.vllm_architectures.values()}
    assert wheres
    assert all(re.fullmatch(r"rsd_graph\.vllm_plugin\.\w+:\w+", where) for where in wheres)
