"""What the command does by itself; whole runs are in tests/training."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from rsd_graph.cli import app
from rsd_graph.cli.train_reward import _show, _with_weights
from rsd_graph.config import load_config
from rsd_graph.errors import ConfigurationError
from rsd_graph.rewards.trained.file import RewardFile
from rsd_graph.rewards.trained.format import Base, Card


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("draft.gguf").touch()
    Path("folder").mkdir()


def rsd(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["train-reward", *arguments])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a file of problems, or give --solutions"),
        (["gone.jsonl"], "cannot read gone.jsonl"),
        (["--solutions", "gone.jsonl"], "cannot read gone.jsonl"),
        (["a.jsonl", "--out", "gone/reward.safetensors"], "the folder gone of --out does not exist"),
        (["a.jsonl", "--weights", "gone.gguf"], "the weights gone.gguf do not exist"),
        (["a.jsonl", "--weights", "folder"], "cannot write the solutions"),
        (["a.jsonl", "--config", "gone.toml"], "cannot read gone.toml"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], message: str) -> None:
    """Before any work, with exit code 1."""
    run = rsd(*arguments)
    assert (run.exit_code, run.stdout) == (1, "")
    assert run.stderr.startswith("rsd: ")
    assert message in run.stderr
    assert run.stderr.count("\n") == 1
    assert not Path(".rsd").exists()


@pytest.mark.parametrize(
    ("draft", "weights", "sampled_from", "trained_on"),
    [
        ({}, None, {}, None),
        ({}, "draft.gguf", {"path": Path("draft.gguf")}, "draft.gguf"),
        ({"path": "draft.gguf"}, None, {"path": Path("draft.gguf")}, "draft.gguf"),
        ({"url": "http://h:1"}, "draft.gguf", {"url": "http://h:1"}, "draft.gguf"),
        ({"url": "http://h:1"}, "folder", {"url": "http://h:1"}, "folder"),
        ({"model": "folder"}, None, {"model": "folder"}, "folder"),
    ],
)
def test_the_draft_that_samples_is_the_one_that_is_trained(
    draft: dict[str, Any], weights: str | None, sampled_from: dict[str, Any], trained_on: str | None
) -> None:
    """Embedded, from a file or on a server; and no reward model is asked for."""
    settings, path = _with_weights(load_config(None, {"draft": draft}), None if weights is None else Path(weights))
    assert settings.draft.model_dump(exclude_none=True, include={"url", "path", "model"}) == sampled_from
    assert path == (None if trained_on is None else Path(trained_on))
    assert settings.reward.resolved_kind == "confidence"


def test_a_draft_on_a_server_needs_its_weights_here() -> None:
    """The message names the option."""
    for draft in ({"url": "http://h:1"}, {"model": "org/draft"}):
        with pytest.raises(ConfigurationError, match="needs its weights on this machine: name them with --weights"):
            _with_weights(load_config(None, {"draft": draft}), None)


def test_the_result_is_summed_up(capsys: pytest.CaptureFixture[str]) -> None:
    """The figures of the training, then the file, its size and what is in it."""
    card = Card(
        base=Base(name="draft", sha256="0" * 64),
        family="probe",
        layers=12,
        parameters=1e8,
        centre=0,
        template="x",
        training={"solutions": 90, "AUC of steps": 0.87},
    )
    out = Path("reward.safetensors")
    out.write_bytes(bytes(12_345))
    _show(RewardFile(card, np.ones(576, np.float32)), out)
    assert capsys.readouterr().out == (
        "solutions: 90\nAUC of steps: 0.87\nreward.safetensors: probe, 12 layers, 576 trained parameters, 12 kB\n"
    )
