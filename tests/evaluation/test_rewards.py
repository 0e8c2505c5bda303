import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rsd_graph import Generation, TokenUsage
from rsd_graph.cli import app
from rsd_graph.data.solutions import Solution, joined, read_solutions
from rsd_graph.errors import ConfigurationError, RewardError
from rsd_graph.evaluation.rewards import Evaluation, evaluate
from rsd_graph.testing import ScriptedReward


def solution(correct: bool, *steps: str) -> Solution:
    return Solution("2+2?", tuple(Generation(step, "delimiter") for step in steps), correct)


def test_every_step_is_scored_as_the_newest_of_those_before_it() -> None:
    """In order, each solution on its own; progress counts solutions."""
    reward = ScriptedReward([0.9, 0.4])
    told: list[tuple[int, int]] = []
    done = asyncio.run(evaluate(reward, [solution(True, "one", "two")], lambda *now: told.append(now)))
    assert done.rewards == [[0.9, 0.4]]
    assert told == [(1, 1)]


def test_areas_are_of_the_last_the_lowest_and_the_mean_reward() -> None:
    """The right solutions end high, but one has the lowest step of all."""
    solutions = [solution(True, "a", "b"), solution(True, "a", "b"), solution(False, "a", "b")]
    done = Evaluation(solutions, [[0.1, 0.9], [0.8, 0.8], [0.7, 0.3]], [[TokenUsage(prompt=9, cached=4)] * 2] * 3, 6.0)
    areas = done.areas()
    assert areas["last step"].value == 1.0
    assert areas["lowest step"].value == 0.5
    assert areas["mean of the steps"].value == 0.75  # 0.5 against 0.5 counts half
    assert areas["last step"].low <= areas["last step"].value <= areas["last step"].high
    assert done.milliseconds == 1000
    assert done.tokens() == 5
    assert done.tokens(40, 40) is None


def test_an_error_of_the_reward_ends_the_evaluation() -> None:
    """As itself, not in a group of errors."""
    broken = ScriptedReward([RewardError("no reward")])
    with pytest.raises(RewardError, match="no reward"):
        asyncio.run(evaluate(broken, [solution(True, "one")] * 3))
    with pytest.raises(ConfigurationError, match="no solution"):
        asyncio.run(evaluate(broken, []))


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


@pytest.mark.parametrize(
    "wrong",
    [{"steps": "4"}, {"problem": None}, {"steps": [{"text": "4", "logprobs": [None]}]}, {"steps": [{"text": 4}]}],
)
def test_what_is_no_solution_is_named(wrong: dict[str, object], tmp_path: Path) -> None:
    """A text instead of steps, a missing problem, a log-probability that is none."""
    file = tmp_path / "solutions.jsonl"
    file.write_text(json.dumps({"problem": "2+2?", "correct": True, "steps": ["4"], **wrong}) + "\n")
    with pytest.raises(ConfigurationError, match="line 1, is not a recorded solution"):
        read_solutions(file)


def test_a_step_that_was_cut_is_one_with_what_follows() -> None:
    """As reward models see it: text, tokens and log-probabilities together."""
    cut = Generation("2 an", "length", TokenUsage(completion=2), (-0.1, -0.2))
    rest = Generation("d 2", "delimiter", TokenUsage(completion=1), (-0.3,))
    end = Generation("4", "length")
    found = joined(Solution("2+2?", (cut, rest, end), correct=True))
    whole = Generation("2 and 2", "delimiter", TokenUsage(completion=3), (-0.1, -0.2, -0.3))
    assert found.steps == (whole, end)


def test_plain_steps_are_read(tmp_path: Path) -> None:
    """Texts alone, as other tools write them."""
    file = tmp_path / "solutions.jsonl"
    file.write_text(json.dumps({"problem": "2+2?", "correct": True, "steps": ["two and two", "4"]}) + "\n")
    (found,) = read_solutions(file)
    assert [step.text for step in found.steps] == ["two and two", "4"]
    assert found.steps[0].logprobs is None
