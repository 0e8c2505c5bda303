import pytest

from rsd_graph.config import ROLES, load_config
from rsd_graph.errors import ConfigurationError
from rsd_graph.presets import PRESETS, preset


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_whole_configuration(name: str) -> None:
    """Three models to start, each with its size and its context, and a reward model of a known family."""
    config = load_config(None, {"preset": name})
    for role in ROLES:
        model = config.role(role)
        assert model.managed
        assert model.parameters
        assert model.context
    assert config.reward.resolved_kind in ("skywork", "qwen-prm")
    assert (config.draft.parameters or 0) < (config.target.parameters or 0)


def test_an_unknown_preset_is_refused() -> None:
    """The message lists all of them."""
    with pytest.raises(ConfigurationError, match="none called 'foo'; there are") as refused:
        preset("foo")
    assert all(name in str(refused.value) for name in PRESETS)
