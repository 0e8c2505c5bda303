import pytest
from pydantic import ValidationError

from rsd_graph import RSDSettings
from rsd_graph._internal.runtime import RECURSION_LIMIT
from rsd_graph.settings import MAX_STEPS_LIMIT


def test_the_defaults_are_the_papers() -> None:
    """Binary step at 0.7, greedy, blank lines, a hundred steps."""
    settings = RSDSettings()
    assert (settings.threshold, settings.weighting, settings.delimiter) == (0.7, "step", "\n\n")
    assert (settings.max_steps, settings.max_tokens, settings.temperature) == (100, 4096, 0.0)
    assert (settings.top_p, settings.seed) == (1.0, 0)
    assert settings.system_prompt == "Please reason step by step, and put your final answer within \\boxed{}."


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threshold", 1.5),
        ("threshold", "high"),
        ("threshold", float("nan")),
        ("weighting", "binary"),
        ("constant", -0.1),
        ("constant", 1.1),
        ("alpha", 0),
        ("alpha", float("inf")),
        ("delimiter", ""),
        ("max_steps", 0),
        ("max_steps", MAX_STEPS_LIMIT + 1),
        ("max_steps", 2.5),
        ("max_tokens", -1),
        ("max_step_tokens", 0),
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("top_p", 0),
        ("top_p", 1.1),
        ("seed", -1),
        ("seed", 2**31),
        ("system_prompt", None),
        ("treshold", 0.5),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: object) -> None:
    """The message names the setting."""
    with pytest.raises(ValidationError, match=name):
        RSDSettings.model_validate({name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threshold", 0),
        ("threshold", 1),
        ("constant", 0),
        ("constant", 1),
        ("max_steps", MAX_STEPS_LIMIT),
        ("temperature", 2),
        ("top_p", 1),
        ("seed", 2**31 - 1),
        ("system_prompt", ""),
    ],
)
def test_the_ends_of_a_range_are_allowed(name: str, value: object) -> None:
    """A bound that a description gives is part of the range."""
    assert getattr(RSDSettings.model_validate({name: value}), name) == value


def test_settings_cannot_be_changed() -> None:
    """Runs at once share one object."""
    with pytest.raises(ValidationError, match="frozen"):
        RSDSettings().threshold = 0.5


def test_settings_survive_json() -> None:
    """An HTTP front end sends them back as it got them."""
    settings = RSDSettings(threshold=0.25, weighting="logistic", delimiter="\n", seed=7)
    assert RSDSettings.model_validate_json(settings.model_dump_json()) == settings


def test_every_setting_is_described_for_the_form() -> None:
    """Studio shows descriptions and defaults, and the reference prints them: a sentence each."""
    for name, field in RSDSettings.model_json_schema()["properties"].items():
        assert field["description"].endswith("."), name
        assert "default" in field, name


def test_the_longest_run_fits_langgraphs_limit() -> None:
    """A run of the most steps allowed, all of them rewritten, takes four supersteps per step."""
    assert RECURSION_LIMIT > 4 * MAX_STEPS_LIMIT
