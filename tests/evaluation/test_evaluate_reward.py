import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rsd_graph.cli import app


def test_the_command_measures_draws_and_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The confidence reward on recorded log-probabilities, as a table and as JSON."""
    monkeypatch.chdir(tmp_path)
    lines = [
        {"problem": "2+2?", "correct": bool(i % 2), "steps": [{"text": "4", "logprobs": [-0.01 if i % 2 else -3.0]}]}
        for i in range(12)
    ]
    Path("solutions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    command = ["evaluate-reward", "--reward", "confidence", "--solutions", "solutions.jsonl"]
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == 0, done.output
    numbers = json.loads(done.stdout)
    assert numbers["auc"]["last step"] == [1.0, 1.0, 1.0]
    assert numbers["solutions"] == 12
    assert sum(each["count"] for each in numbers["reliability"]) == 12
    assert Path("reward.png").read_bytes().startswith(b"\x89PNG")
    done = CliRunner().invoke(app, command)
    assert "6 of 12 solutions right" in done.stdout
    assert "lowest step" in done.stdout


def test_the_command_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps without log-probabilities, a wrong line, a missing file."""
    monkeypatch.chdir(tmp_path)
    Path("bare.jsonl").write_text(json.dumps({"problem": "2+2?", "correct": True, "steps": ["4"]}) + "\n")
    Path("wrong.jsonl").write_text('{"problem": "2+2?", "correct": "yes", "steps": ["4"]}\n')
    for file, message in (
        ("bare.jsonl", "log-probabilities"),
        ("wrong.jsonl", "line 1"),
        ("missing.jsonl", "cannot read"),
    ):
        done = CliRunner().invoke(app, ["evaluate-reward", "--reward", "confidence", "--solutions", file])
        assert done.exit_code == 1
        assert message in done.stderr


@pytest.mark.parametrize("picture", ["missing/reward.png", "reward.foo"])
def test_a_picture_that_cannot_be_drawn_is_refused_before_any_work(
    picture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another ending, or a folder that is not there."""
    monkeypatch.chdir(tmp_path)
    command = ["evaluate-reward", "--reward", "confidence", "--solutions", "none.jsonl", "--picture", picture]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1
    assert "cannot draw" in done.stderr


def test_the_reward_of_the_configuration_is_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without servers that it does not need, and with null where one class has no AUC."""
    monkeypatch.chdir(tmp_path)
    Path("rsd.toml").write_text('[target]\nurl = "http://127.0.0.1:9"\n[reward]\nkind = "confidence"\n')
    line = {"problem": "2+2?", "correct": True, "steps": [{"text": "4", "logprobs": [-0.1]}]}
    Path("solutions.jsonl").write_text(json.dumps(line) + "\n\n")
    done = CliRunner().invoke(app, ["evaluate-reward", "--solutions", "solutions.jsonl", "--json"])
    assert done.exit_code == 0, done.output
    numbers = json.loads(done.stdout)
    assert numbers["reward"] == "confidence"
    assert numbers["auc"]["last step"] == [None, None, None]
