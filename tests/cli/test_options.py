import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rsd_graph.cli import app
from rsd_graph.cli.solve import standard_input
from rsd_graph.config import kinds, load_config
from rsd_graph.errors import InvalidProblemError
from rsd_graph.overrides import model_table, reward_table


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("confidence", {"kind": "confidence", "model": None}),
        ("judge", {"kind": "judge", "model": None}),
        ("foo", {"kind": "foo", "model": None}),
        ("http://host:8002", {"url": "http://host:8002"}),
        ("http:/host", {"url": "http:/host"}),
        ("https://host/reward", {"url": "https://host/reward"}),
        ("outcome:http://host:8002", {"kind": "outcome", "url": "http://host:8002"}),
        ("qwen-prm:https://host", {"kind": "qwen-prm", "url": "https://host"}),
        ("my.safetensors", {"path": "my.safetensors"}),
        ("folder/my.safetensors", {"path": "folder/my.safetensors"}),
        ("C:my.safetensors", {"path": "C:my.safetensors"}),
        ("trained:my.safetensors", {"kind": "trained", "path": "my.safetensors"}),
        ("combined:my.safetensors", {"kind": "combined", "path": "my.safetensors"}),
        ("judge:model.gguf", {"kind": "judge", "path": "model.gguf"}),
        ("trained:", {"kind": "trained:", "model": None}),
    ],
)
def test_one_word_says_what_the_reward_is(text: str, table: dict[str, Any]) -> None:
    """A kind, a place, or both with a colon between them; what is neither is refused later, by name."""
    assert reward_table(text) == table


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_can_stand_before_a_url(kind: str) -> None:
    """Those that the configuration knows."""
    assert reward_table(f"{kind}:http://host:8002") == {"kind": kind, "url": "http://host:8002"}


def test_a_kind_replaces_the_reward_model_of_a_preset() -> None:
    """Nothing is left of the preset's table."""
    overrides = {"preset": "qwen2.5-math-7b", "reward": reward_table("confidence")}
    reward = load_config(None, overrides).reward
    assert (reward.resolved_kind, reward.model, reward.parameters) == ("confidence", None, None)


def test_a_model_is_at_a_url_or_in_a_file() -> None:
    """`--draft` and `--target`."""
    assert model_table("http://host:8000") == {"url": "http://host:8000"}
    assert model_table("models/draft.gguf") == {"path": "models/draft.gguf"}
    assert model_table("http:/host") == {"url": "http:/host"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["solve", "x", "--config=~/it"],
        ["solve", "x", "--draft=~/it"],
        ["solve", "x", "--reward=~/it.safetensors"],
        ["solve", "x", "--reward=trained:~/it.safetensors"],
        ["serve", "--config=~/it"],
        ["evaluate-reward", "--solutions=~/it"],
        ["train-reward", "~/it"],
        ["train-reward", "--solutions=~/it"],
        ["train-reward", "x", "--weights=~/it"],
        ["train-reward", "x", "--out=~/it/out"],
        ["export-reward", "~/it", "folder"],
    ],
)
def test_a_tilde_is_the_home_folder(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In every option that takes a path; the error of a missing file shows where it was sought."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert str(tmp_path / "home" / "it") in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("option", ["--draft", "--target", "--reward"])
@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://host:99999", "the port '99999'"),
        ("http://::1:8000", "write http://[::1]:8000"),
        ("http:/host", "looks like http://host:8000"),
        ("http://user:hunter2@host", "api_key_env"),
        ("socks5://host:1080", "looks like http://host:8000"),
    ],
)
def test_an_address_that_is_none_is_one_line(option: str, url: str, why: str) -> None:
    """Before anything connects."""
    result = CliRunner().invoke(app, ["solve", "x", option, url])
    assert result.exit_code == 1
    assert why in result.stderr
    assert result.stderr.count("\n") == 1
    assert "hunter2" not in result.stderr


def test_files_that_never_end_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As settings, problems, solutions, reward files and the draft's weights."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    os.mkfifo("pipe.safetensors")
    for file in ("pipe", "/dev/zero", "."):
        for arguments in (
            ["solve", "x", "--config", file],
            ["evaluate-reward", "--solutions", file],
            ["train-reward", file],
            ["train-reward", "--solutions", file],
            ["export-reward", file, "folder"],
            ["export-reward", "pipe.safetensors", "folder"],
        ):
            result = CliRunner().invoke(app, arguments)
            assert result.exit_code == 1, (arguments, result)
            assert "not a regular file" in result.stderr
            assert result.stderr.count("\n") == 1


def test_a_problem_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard input may be a device."""
    with Path("/dev/zero").open() as endless:
        monkeypatch.setattr("sys.stdin", endless)
        with pytest.raises(InvalidProblemError, match="4 MB at most"):
            standard_input()
