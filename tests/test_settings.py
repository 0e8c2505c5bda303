import pytest
from pydantic import ValidationError

from rsd_graph import RSDSettings


def test_the_defaults_are_the_papers() -> None:
    """Binary step at 0.7, greedy, blank lines, a hundred steps."""
    settings = RSDSettings()
    assert (settings.threshold, settings.weighting, settings.delimiter) == (0.7, "step", "\n\n")
    assert (settings.max_steps, settings.max_tokens, settings.temperature) == (100, 4096, 0.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threshold", 1.5),
        ("threshold", "high"),
        ("threshold", float("nan")),
        ("weighting", "binary"),
        ("delimiter", ""),
        ("max_steps", 0),
        ("max_tokens", -1),
        ("temperature", -0.1),
        ("top_p", 0),
        ("seed", -1),
        ("treshold", 0.5),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: object) -> None:
    """The message names the setting."""
    with pytest.raises(ValidationError, match=name):
        RSDSettings.model_validate({name: value})
