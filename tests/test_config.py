from pathlib import Path

import pytest

from rsd_graph.config import load_config
from rsd_graph.errors import ConfigurationError


def test_everything_has_a_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file, the embedded models and the paper's settings."""
    monkeypatch.chdir(tmp_path)
    config = load_config(None)
    assert (config.draft.url, config.draft.path, config.reward.kind) == (None, None, "confidence")
    assert config.settings.threshold == 0.7


def test_the_file_in_the_current_folder_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the command line's values lie over it, table by table."""
    monkeypatch.chdir(tmp_path)
    Path("rsd.toml").write_text('[draft]\nurl = "http://a"\nmodel = "m"\n[settings]\nthreshold = 0.4\nmax_steps = 9\n')
    config = load_config(None, {"settings": {"threshold": "0.5"}})
    assert (config.draft.url, config.draft.model) == ("http://a", "m")
    assert (config.settings.threshold, config.settings.max_steps) == (0.5, 9)
    assert load_config(None, {"draft": {"path": "x.gguf"}}).draft.url is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[draft", "is not TOML"),
        ("[settings]\nthreshold = 2", r"settings\.threshold: .*less than or equal to 1, got 2"),
        ("[settings]\nweighting = 'foo'", r"settings\.weighting: .*'step', 'constant'.*got 'foo'"),
        ("[setings]\n", r"setings: extra inputs"),
        ("[draft]\nurl = 'host:8000'", r"draft\.url"),
        ("[draft]\nurl = 'http://a'\npath = 'b'", "not both"),
        ("[draft]\nurl = 'http://host:abc'", r"draft\.url: .*got 'http://host:abc'"),
        ("[draft]\nmodel = 'm'", "give its `url`"),
        ("[reward]\nkind = 'prm'", r"reward\.kind"),
        ("[reward]\nkind = 'confidence'\nurl = 'http://a'", "a judge's"),
        ("settings = 5", r"settings: .*got 5"),
    ],
)
def test_a_mistake_is_named_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    """With its place and what is allowed."""
    file = tmp_path / "rsd.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_config(file, {"settings": {"seed": 1}})
    assert "\n" not in str(caught.value)


def test_an_address_of_a_reward_is_a_judges(tmp_path: Path) -> None:
    """Nobody names a server for the draft's own confidence."""
    file = tmp_path / "rsd.toml"
    file.write_text('[reward]\nurl = "http://a"\n')
    assert load_config(file).reward.kind == "judge"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Only the default file may be missing."""
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml: No such file"):
        load_config(tmp_path / "nowhere.toml")


def test_a_key_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file names the variable; a variable that is not set is an error."""
    file = tmp_path / "rsd.toml"
    file.write_text('[draft]\nurl = "http://a"\napi_key_env = "RSD_TEST_KEY"\n')
    draft = load_config(file).draft
    with pytest.raises(ConfigurationError, match="RSD_TEST_KEY"):
        _ = draft.api_key
    monkeypatch.setenv("RSD_TEST_KEY", "secret")
    assert draft.api_key == "secret"
