"""What the command does by itself; whole runs are in tests/evaluation."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rsd_graph import Generation, TokenUsage
from rsd_graph.cli import app
from rsd_graph.cli.evaluate_reward import _reward_alone
from rsd_graph.cli.evaluate_reward_view import print_tables
from rsd_graph.config import load_config
from rsd_graph.data.solutions import Solution
from rsd_graph.evaluation.summary import Evaluation
from rsd_graph.overrides import reward_table

ELSEWHERE = {"url": "http://127.0.0.1:9"}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("reward", "needed"),
    [
        ("confidence", set()),
        ("trained", {"draft"}),
        ("combined", {"draft"}),
        ("my.safetensors", {"draft"}),
        ("judge", {"target"}),
        ("http://127.0.0.1:9", set()),
        ("outcome:http://127.0.0.1:9", set()),
    ],
)
def test_only_the_models_that_a_reward_needs_are_used(reward: str, needed: set[str]) -> None:
    """The others' servers may be down."""
    config = load_config(None, {"draft": ELSEWHERE, "target": ELSEWHERE, "reward": reward_table(reward)})
    alone = _reward_alone(config)
    assert {role for role in ("draft", "target") if alone.role(role).url} == needed
    assert alone.reward == config.reward


def test_the_tables_show_how_good_a_reward_is(capsys: pytest.CaptureFixture[str]) -> None:
    """AUC of every way to score a solution, the reliability, the calibration error and the cost of a step."""
    step = Generation("4", "delimiter")
    solutions = [Solution("2+2?", (step, step), correct) for correct in (True, True, False, False)]
    rewards = [[0.5, 0.95], [0.9, 0.85], [0.3, 0.15], [0.2, 0.05]]
    usage = [[TokenUsage(10, 0, 0), TokenUsage(30, 10, 0)]] * 4
    print_tables(Evaluation(solutions, rewards, usage, seconds=0.08), "my reward")
    shown = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert shown[0] == "my reward, 2 of 4 solutions right"
    for name in ("last step", "lowest step", "mean of the steps", "product of the steps", "every prefix"):
        assert any(line.startswith(f"│ {name} │ 1.00") for line in shown), name
    assert "│ 0.9 to 1.0 │ 1 │ 0.95 │ 1.00 │" in shown
    assert shown[-1] == "expected calibration error 0.100; a step takes 10.0 ms and computes 15 tokens"


def test_the_tables_show_what_late_steps_cost(capsys: pytest.CaptureFixture[str]) -> None:
    """The fifth and the fortieth step, where there are any."""
    solution = Solution("2+2?", (Generation("4", "delimiter"),) * 40, True)
    usage = [[TokenUsage(number, 0, 0) for number in range(1, 41)]] * 2
    solutions = [solution, Solution("2+2?", solution.steps, False)]
    print_tables(Evaluation(solutions, [[0.5] * 40] * 2, usage, seconds=0.08), "my reward")
    assert capsys.readouterr().out.endswith("computes 20 tokens, 5 for step 5, 40 for step 40\n")


def test_a_missing_file_is_one_line() -> None:
    """With exit code 1; with `--json` too, because there are no numbers."""
    for options in ([], ["--json"]):
        run = CliRunner().invoke(app, ["evaluate-reward", "--solutions", "gone.jsonl", *options])
        assert (run.exit_code, run.stdout) == (1, "")
        assert run.stderr.startswith("rsd: cannot read gone.jsonl")
        assert run.stderr.count("\n") == 1


def test_a_wrong_settings_file_is_one_line() -> None:
    """It is named."""
    line = {"problem": "2+2?", "correct": True, "steps": [{"text": "4", "logprobs": [-0.1]}]}
    Path("solutions.jsonl").write_text(json.dumps(line) + "\n")
    Path("rsd.toml").write_text("[reward\n")
    run = CliRunner().invoke(app, ["evaluate-reward", "--solutions", "solutions.jsonl"])
    assert run.exit_code == 1
    assert run.stderr.startswith("rsd: rsd.toml is not TOML")
