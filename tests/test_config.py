import os
from pathlib import Path
from typing import Any

import pytest

from rsd_graph import RSDSettings
from rsd_graph.config import (
    ROLES,
    Config,
    DraftConfig,
    LatencyConfig,
    ModelConfig,
    RewardConfig,
    Role,
    ServeConfig,
    TargetConfig,
    load_config,
)
from rsd_graph.errors import ConfigurationError


def test_everything_has_a_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file, the embedded models and the paper's settings."""
    monkeypatch.chdir(tmp_path)
    config = load_config(None)
    assert (config.draft.url, config.draft.path, config.reward.kind) == (None, None, None)
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
        ("[draft]\napi_key_env = 'K'", "give its `url`"),
        ("[draft]\nmodel = 'm'\npath = 'b'", "`model` or `path`"),
        ("[draft]\nurl = 'http://a'\ngpus = [0]", "`gpus`: for a model that is started here"),
        ("[draft]\nmodel = 'm'\ngpus = [0, 1]\ntensor_parallel = 4", "number of `gpus`"),
        ("[draft]\nurl = 'http://a'\nrevision = 'x'", "`revision` is of a `model`"),
        ("[draft]\nmodel = 'm'\ngpus = [1, 1]", "names one twice"),
        ("[draft]\nmodel = 'm'\nflags = ['--port=1']", "--port is set by other keys"),
        ("[draft]\nmodel = 'm'\nflags = ['--api_key', 'k']", "--api-key is set by other keys"),
        ("[draft]\nmodel = 'm'\nflags = ['--api-k=k']", "--api-key is set by other keys"),
        ("[draft]\nmodel = '--api-key=k'", "does not begin with -"),
        ("[draft]\nmodel = ' '", "a name is not empty"),
        ("[draft]\nmodel = 'm'\nrevision = '-x'", "does not begin with -"),
        ("[draft]\nurl = 'http://host:99999'", r"draft\.url: .*the port '99999' .*got 'http://host:99999'"),
        ("[draft]\nurl = 'http://::1:8000'", r"draft\.url: .*write http://\[::1\]:8000"),
        ("[draft]\nurl = 'http://a'\nreplicas = ['http://b:0']", r"draft\.replicas\.0: .*the port '0'"),
        ("[draft]\nmodel = 'm'\nport = 99999", r"draft\.port: .*got 99999"),
        ('[draft]\nmodel = "a\\u0000b"', r"draft\.model: .*control character '\\x00'"),
        ('[draft]\npath = "a\\u001b[2J"', r"draft\.path: .*control character '\\x1b'"),
        ('[draft]\nmodel = "m"\nflags = ["--x\\u0000"]', r"draft\.flags\.0: .*control character"),
        ('[draft]\nurl = "http://a\\u009b"', r"draft\.url: .*no control characters"),
        ('[serve]\nlogs = "a\\u0007"', r"serve\.logs: .*control character"),
        ('[serve]\nhost = "a\\u0000"', r"serve\.host: .*is not a host"),
        ('[serve]\nhost = "[::1]"', r"serve\.host: .*without a port and brackets"),
        ('[reward]\nmodel = "m"\nengine = "transformers"\ndevice = "c\\u001b"', r"reward\.device: .*control"),
        ("[draft]\npath = '~no-such-user/x'", "home folder of ~no-such-user"),
        ("[draft]\ntimeout = inf\nurl = 'http://a'", r"draft\.timeout: .*finite"),
        ("[reward]\ncentre = nan", r"reward\.centre: .*finite"),
        ("a\x00 = 1", r"rsd\.toml is not TOML: .*line 1"),
        ('\n\nx = "\x1b[2J"', r"rsd\.toml is not TOML: .*line 3"),
        ("\n\nx = " + 100_000 * "[", r"rsd\.toml is not TOML: brackets are nested too deeply \(at line 3\)"),
        ("x = " + 30_000 * "{a=", r"rsd\.toml is not TOML: brackets are nested too deeply"),
        ("\n" + 50_000 * "a." + "a = 1", r"rsd\.toml is not TOML: a key has too many parts \(at line 2\)"),
        ("[" + 30_000 * "'a' . " + "a]", r"rsd\.toml is not TOML: a key has too many parts"),
        ("x = " + 5000 * "9", r"rsd\.toml is not TOML"),
        ("#" + 300_000 * " ", r"cannot read .*rsd\.toml: it is larger than"),
        ("\n".join(f"k{number} = 1" for number in range(5000)), "and 4992 more"),
        ("[draft]\nmodel = 'm'\nreplicas = ['http://b']", "beside `url`"),
        ("[draft]\nurl = 'http://a'\nreplicas = ['b']", r"draft\.replicas"),
        ("[reward]\nkind = 'skywork'", "needs a `model` or a `url`"),
        ("[reward]\nurl = 'http://a'\nengine = 'transformers'", "no `url`"),
        ("preset = 'gpt'", "none called 'gpt'; there are qwen2.5-math-7b"),
        ("preset = 5", r"preset: .*got 5"),
        ("[reward]\nkind = 'prm'", r"reward\.kind"),
        ("[reward]\nkind = 'confidence'\nurl = 'http://a'", "the draft's own"),
        ("[reward]\nkind = 'combined'\nurl = 'http://a'\ncentre = 0.1", "needs its `curve`"),
        ("[reward]\nkind = 'trained'\nurl = 'http://a'", "needs its `centre`"),
        ("[reward]\nkind = 'judge'\npath = 'a.safetensors'", "its kind is 'trained' or 'combined'"),
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


def test_a_file_goes_over_its_preset(tmp_path: Path) -> None:
    """Key by key, but a table that names another model replaces the preset's."""
    file = tmp_path / "rsd.toml"
    file.write_text(
        'preset = "qwen2.5-math-7b"\n[draft]\ncontext = 2048\n[target]\nmodel = "mine-8b"\n[reward]\nkind = "outcome"\n'
    )
    config = load_config(file)
    assert (config.draft.model, config.draft.context) == ("Qwen/Qwen2.5-Math-1.5B-Instruct", 2048)
    assert (config.target.model, config.target.context) == ("mine-8b", None)
    assert (config.reward.model, config.reward.kind) == ("Skywork/Skywork-o1-Open-PRM-Qwen-2.5-1.5B", "outcome")
    assert load_config(file, {"preset": "llama-3-8b"}).draft.model == "meta-llama/Llama-3.2-1B-Instruct"


def test_a_model_without_address_is_where_rsd_serve_puts_it(tmp_path: Path) -> None:
    """One file tells `rsd serve` what to start and `rsd solve` where it is."""
    file = tmp_path / "rsd.toml"
    file.write_text('[draft]\nmodel = "a"\n[target]\nmodel = "b"\nport = 9000\n[reward]\nurl = "http://c"\n')
    config = load_config(file)
    assert config.address("draft") == "http://127.0.0.1:8000"
    assert config.address("target") == "http://127.0.0.1:9000"
    assert config.address("reward") == "http://c"
    with pytest.raises(ConfigurationError, match=r"target\.port: engines in this process share one GPU"):
        load_config(file, {"mode": "offline"})
    assert load_config(None, {"mode": "offline", "draft": {"model": "a"}}).address("draft") is None


def test_listening_further_takes_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond this machine, servers without a key are not started."""
    monkeypatch.delenv("RSD_API_KEY", raising=False)
    assert load_config(None).serve.api_key is None
    with pytest.raises(ConfigurationError, match="RSD_API_KEY"):
        _ = load_config(None, {"serve": {"host": "0.0.0.0"}}).serve.api_key
    monkeypatch.setenv("RSD_API_KEY", "secret")
    assert load_config(None).serve.api_key == "secret"


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


@pytest.mark.parametrize(
    ("tables", "role", "place", "addresses"),
    [
        ({}, "draft", "embedded", ()),
        ({"target": {"path": "m.gguf"}}, "target", "file", ()),
        ({"draft": {"url": "http://a", "replicas": ["http://b"]}}, "draft", "server", ("http://a", "http://b")),
        ({"draft": {"model": "m"}}, "draft", "managed", ("http://127.0.0.1:8000",)),
        ({"target": {"model": "m"}, "serve": {"host": "::"}}, "target", "managed", ("http://[::1]:8001",)),
        ({"draft": {"model": "m"}, "mode": "offline"}, "draft", "offline", ()),
        ({}, "reward", "draft", ()),
        ({"reward": {"kind": "trained"}}, "reward", "draft", ()),
        ({"reward": {"path": "r.safetensors"}}, "reward", "draft", ()),
        ({"reward": {"kind": "judge"}}, "reward", "target", ()),
        ({"reward": {"path": "m.gguf"}}, "reward", "file", ()),
        ({"reward": {"model": "Qwen/Qwen2.5-Math-PRM-7B", "engine": "transformers"}}, "reward", "transformers", ()),
        ({"reward": {"model": "Qwen/Qwen2.5-Math-PRM-7B"}}, "reward", "managed", ("http://127.0.0.1:8002",)),
    ],
)
def test_each_role_is_resolved_to_one_place(
    tables: dict[str, Any], role: Role, place: str, addresses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its model runs, and at which addresses."""
    monkeypatch.setenv("RSD_API_KEY", "secret")
    found = load_config(None, tables).resolve(role)
    assert (found.place, found.addresses, found.served) == (place, addresses, bool(addresses))


def test_a_role_is_resolved_with_the_key_of_its_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers of `rsd serve` have its key, others their own, and models in this process none."""
    monkeypatch.setenv("RSD_API_KEY", "ours")
    monkeypatch.setenv("OTHER_KEY", "theirs")
    config = load_config(
        None, {"draft": {"model": "m"}, "target": {"url": "http://a", "api_key_env": "OTHER_KEY"}, "reward": {}}
    )
    assert [config.resolve(role).api_key for role in ROLES] == ["ours", "theirs", None]


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        ({}, "confidence"),
        ({"kind": "judge"}, "judge"),
        ({"path": "r.safetensors"}, "trained"),
        ({"path": "m.gguf"}, "judge"),
        ({"url": "http://a"}, None),  # the server knows
        ({"url": "http://a", "model": "Skywork/Skywork-o1-Open-PRM-Qwen-2.5-7B"}, "skywork"),
        ({"url": "http://a", "model": "mine"}, "judge"),
        ({"url": "http://a", "model": "mine", "kind": "qwen-prm"}, "qwen-prm"),
    ],
)
def test_the_kind_of_reward_is_resolved_in_one_place(table: dict[str, Any], kind: str | None) -> None:
    """As given, or from what the table names."""
    assert load_config(None, {"reward": table}).reward.resolved_kind == kind


def test_a_model_started_here_whose_name_says_nothing_needs_a_kind() -> None:
    """Nobody could be asked before it is served."""
    reward = load_config(None, {"reward": {"model": "mine-7b"}}).reward
    with pytest.raises(ConfigurationError, match=r"'mine-7b' does not say .*give its `kind`: .*skywork"):
        _ = reward.resolved_kind


def test_a_table_for_another_engine_drops_the_presets_engine_keys() -> None:
    """`context` is vLLM's, and plain transformers would refuse it."""
    config = load_config(None, {"preset": "qwen2.5-math-7b-qwen-prm", "reward": {"engine": "transformers"}})
    assert (config.reward.model, config.reward.context) == ("Qwen/Qwen2.5-Math-PRM-7B", None)


def test_every_key_is_described() -> None:
    """The reference and Studio's form show the descriptions."""
    models = (Config, ModelConfig, DraftConfig, TargetConfig, RewardConfig, LatencyConfig, ServeConfig, RSDSettings)
    missing = [
        f"{model.__name__}.{name}"
        for model in models
        for name, key in model.model_fields.items()
        if not key.description
    ]
    assert missing == []


def test_a_file_that_never_ends_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device, a pipe, a folder; the default file too."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("rsd.toml")
    for file, kind in ((Path("/dev/zero"), "a device"), (tmp_path, "a folder"), (None, "a named pipe")):
        with pytest.raises(ConfigurationError, match=f"cannot read .*: it is {kind}"):
            load_config(file)


def test_a_file_that_is_not_utf8_is_named_with_its_line(tmp_path: Path) -> None:
    """And one with a byte order mark is read."""
    file = tmp_path / "rsd.toml"
    file.write_bytes(b"\n[draft]\n# \xff")
    with pytest.raises(ConfigurationError, match=r"rsd\.toml is not TOML: it is not UTF-8 \(at line 3\)"):
        load_config(file)
    file.write_bytes(b"\xef\xbb\xbf[settings]\nthreshold = 0.5\n")
    assert load_config(file).settings.threshold == 0.5


@pytest.mark.parametrize(
    "text",
    [
        "[draft]\nurl = 'http://user:hunter2@host'",
        "[draft]\nurl = 'http://user:hunter2@host:99999'",
        "[draft]\nurl = 'http://user:hun@ter2@host'",
        "[draft]\nurl = 'http://host?key=hunter2'",
        "[draft]\nurl = 'http://a'\nreplicas = ['http://user:hunter2@host']",
        "draft = 'http://user:hunter2@host'",
        "[draft]\nurl = ['http://user:hunter2@host']",
        "[draft]\napi_key = 'hunter2'",
        "[draft]\nurl = 'http://a'\napi_key_env = 'sk-hunter2'",
        "[serve]\napi_key_env = 'sk-hunter2'",
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    """Wherever it was put."""
    file = tmp_path / "rsd.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_config(file)
    assert "hunter2" not in str(caught.value)
    assert "ter2" not in str(caught.value)


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """In every key that may hold a path; a name that a server gives is not one."""
    monkeypatch.setenv("HOME", "/home/me")
    config = load_config(
        None,
        {
            "draft": {"path": "~/draft.gguf"},
            "target": {"model": "~/target"},
            "reward": {"path": "~/r.safetensors"},
            "serve": {"logs": "~/logs"},
        },
    )
    assert [str(each) for each in (config.draft.path, config.target.model, config.reward.path, config.serve.logs)] == [
        "/home/me/draft.gguf",
        "/home/me/target",
        "/home/me/r.safetensors",
        "/home/me/logs",
    ]
    assert load_config(None, {"draft": {"url": "http://a", "model": "~/x"}}).draft.model == "~/x"


@pytest.mark.parametrize("key", ["se\ncret", "se cret", "secr\u00e9t"])
def test_a_key_that_cannot_be_one_is_named_by_its_variable(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not shown; the line feed of a file's end is no part of it."""
    monkeypatch.setenv("RSD_API_KEY", key)
    with pytest.raises(ConfigurationError, match="RSD_API_KEY") as caught:
        _ = load_config(None).serve.api_key
    assert key not in str(caught.value)
    monkeypatch.setenv("RSD_API_KEY", "secret\n")
    assert load_config(None).serve.api_key == "secret"


SERVER = {"url": "http://127.0.0.1:9000"}


@pytest.mark.parametrize(
    ("tables", "ahead"),
    [
        ({}, False),
        ({"draft": SERVER, "reward": SERVER}, True),
        ({"preset": "qwen2.5-math-7b"}, True),
        ({"preset": "qwen2.5-math-7b", "mode": "offline"}, False),
        ({"draft": SERVER}, False),
        ({"draft": SERVER, "reward": {"kind": "trained"}}, False),
        ({"reward": {**SERVER, "kind": "skywork"}}, False),
        ({"draft": SERVER, "reward": SERVER, "latency": {"ahead": False}}, False),
        ({"latency": {"ahead": True}}, True),
    ],
)
def test_the_draft_goes_ahead_where_it_can(tables: dict[str, Any], ahead: bool) -> None:
    """By default on servers only: models in this process take turns."""
    assert load_config(None, tables).goes_ahead == ahead


def test_a_target_speculates_with_a_draft_that_has_a_name() -> None:
    """Its engine loads the draft's weights; a target elsewhere was started by somebody else."""
    with pytest.raises(ConfigurationError, match=r"target\.speculative: .* name its `model` in \[draft\]"):
        load_config(None, {"target": {"model": "t-7b", "speculative": 5}})
    with pytest.raises(ConfigurationError, match="`speculative`: for a model that is started here"):
        load_config(None, {"draft": {"model": "d-1b"}, "target": {**SERVER, "speculative": 5}})
    with pytest.raises(ConfigurationError, match="speculative"):
        load_config(None, {"target": {"model": "t-7b"}, "draft": {"model": "d-1b", "speculative": 5}})
    assert load_config(None, {"preset": "llama-3-70b", "target": {"speculative": 5}}) is not None


def test_a_target_in_this_process_speculates_with_a_draft_in_this_process() -> None:
    """Its engine needs a file."""
    for tables in ({}, {"draft": {"path": "d.gguf"}}, {"draft": {"path": "d.gguf"}, "target": {"path": "t.gguf"}}):
        target = {**tables.get("target", {}), "speculative": 5}
        assert load_config(None, {**tables, "target": target}).target.speculative == 5
    for draft in (SERVER, {"model": "d-1b"}):
        with pytest.raises(ConfigurationError, match=r"target\.speculative: .* GGUF file"):
            load_config(None, {"draft": draft, "target": {"speculative": 5}})


@pytest.mark.parametrize(
    ("tables", "can"),
    [
        ({}, True),
        ({"target": {"path": "t.gguf"}}, True),
        ({"preset": "llama-3-70b", "mode": "offline"}, True),
        ({"preset": "llama-3-70b"}, False),
        ({"target": SERVER}, False),
    ],
)
def test_an_engine_of_this_process_can_be_made_to_speculate(tables: dict[str, Any], can: bool) -> None:
    """A server decides it when it starts."""
    assert load_config(None, tables).target_can_speculate == can
