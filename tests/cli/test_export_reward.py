import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rsd_graph.cli import app
from rsd_graph.cli.export_reward import instructions
from rsd_graph.config import load_config
from rsd_graph.rewards.combined import StepCalibration
from rsd_graph.rewards.trained.format import Base, Card

CARD = Card(
    base=Base(name="draft", sha256="0" * 64), family="lora", layers=12, parameters=1e8, centre=-1.23456, template="x"
)


def test_it_says_how_to_serve_and_use_the_checkpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A command for a shell, and a table that `rsd.toml` takes as it is printed."""
    text = instructions(CARD, Path("out"))
    assert text.startswith("serve it:  vllm serve out --dtype float32 --port 8002\n")
    monkeypatch.chdir(tmp_path)
    Path("rsd.toml").write_text(text[text.index("[reward]") :])
    reward = load_config(None).reward
    assert (reward.url, reward.resolved_kind, reward.centre) == ("http://127.0.0.1:8002", "trained", -1.2346)
    assert "curve" not in text


def test_it_says_how_to_add_the_confidence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """If the reward was calibrated with it: another kind, and its numbers."""
    curve = StepCalibration(intercept=2, value=0.25, surprisal=1)
    text = instructions(CARD.model_copy(update={"curve": curve}), Path("out"))
    assert 'kind = "combined", and\ncurve = ' in text
    table = text[text.index("[reward]") :].replace('kind = "trained"', 'kind = "combined"')
    monkeypatch.chdir(tmp_path)
    Path("rsd.toml").write_text(table)
    assert tomllib.loads(table)["reward"]["curve"] == {"intercept": 2.0, "value": 0.25, "surprisal": 1.0}
    assert load_config(None).reward.curve == curve


def test_a_file_that_is_no_reward_is_refused(tmp_path: Path) -> None:
    """In one line, with exit code 1; nothing is written."""
    (tmp_path / "wrong.safetensors").write_bytes(b"not a reward")
    for file, message in (("gone.safetensors", "cannot read the reward file"), ("wrong.safetensors", "wrong")):
        run = CliRunner().invoke(app, ["export-reward", str(tmp_path / file), str(tmp_path / "out")])
        assert (run.exit_code, run.stdout) == (1, "")
        assert message in run.stderr
        assert run.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
