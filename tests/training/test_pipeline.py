import asyncio
import json
from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rsd_graph import Generation, TokenUsage
from rsd_graph.cli import app
from rsd_graph.data.problems import Problem
from rsd_graph.data.solutions import Solution
from rsd_graph.errors import ConfigurationError
from rsd_graph.models.weights import sha256_of
from rsd_graph.rewards.trained.file import load_reward
from rsd_graph.testing import ScriptedModel
from rsd_graph.training.options import Options
from rsd_graph.training.pipeline import gather, ready, sample_solutions
from rsd_graph.training.workdir import WorkDir

FOUR = Generation("\\boxed{4}", "eos")
PROBLEMS = [Problem("2+2?", "4")]
WRONG = Solution("2+2?", (Generation("think", "delimiter"), Generation("\\boxed{5}", "eos")), correct=False)


@dataclass
class Models:
    """Scripted models, and which of them were asked for."""

    draft: ScriptedModel = field(default_factory=lambda: ScriptedModel([FOUR]))
    target: ScriptedModel = field(default_factory=lambda: ScriptedModel([FOUR]))
    made: list[set[str]] = field(default_factory=list)
    closed: int = 0

    @asynccontextmanager
    async def make(self, roles: Set[str]) -> AsyncIterator["Models"]:
        self.made.append(set(roles))
        try:
            yield self
        finally:
            self.closed += 1


def test_a_larger_limit_resumes(tmp_path: Path) -> None:
    """With the problems that the smaller one chose, and not more of them than asked for."""
    problems = [Problem(f"{number}?", "4") for number in range(9)]
    workdir = WorkDir(tmp_path / "work", Options(), {})

    def solved(limit: int, answers: int) -> list[str]:
        model = ScriptedModel([FOUR] * answers)
        found = asyncio.run(sample_solutions(model, problems, Options(limit=limit), workdir))
        assert len(model.calls) == answers
        return [each.problem for each in found]

    few = solved(3, answers=3)
    assert solved(5, answers=2)[:3] == few
    assert solved(3, answers=0) == few


@pytest.mark.parametrize(
    ("labels", "sampled", "roles"),
    [
        ("answer", False, []),
        ("answer", True, [{"draft"}]),
        ("monte-carlo", False, [{"draft"}]),
        ("monte-carlo", True, [{"draft"}]),
        ("target", False, [{"target"}]),
        ("target", True, [{"draft", "target"}]),
    ],
)
def test_models_are_made_where_they_have_work(
    labels: str, sampled: bool, roles: list[set[str]], tmp_path: Path
) -> None:
    """The servers of the others may be down. What was made is closed."""
    options = Options.model_validate({"labels": labels, "continuations": 1})
    models = Models()
    solutions = None if sampled else [WRONG]
    known, found = asyncio.run(gather(models.make, PROBLEMS, solutions, options, WorkDir(tmp_path, options, {})))
    assert models.made == roles
    assert models.closed == len(roles)
    assert len(known) == len(found) == 1
    assert len(found[0]) == len(known[0].steps)
    if not sampled:
        expected = {"answer": [0.0, 0.0], "monte-carlo": [1.0, 0.0], "target": [1.0, 0.0]}
        assert found == [expected[labels]]
        assert bool(models.target.calls) == (labels == "target")


def test_models_are_closed_after_an_error(tmp_path: Path) -> None:
    """Here a right answer that nobody knows."""
    options, models = Options(labels="target"), Models()
    with pytest.raises(ConfigurationError, match="right answer"):
        asyncio.run(gather(models.make, [], [WRONG], options, WorkDir(tmp_path, options, {})))
    assert models.closed == 1


def test_solutions_are_made_ready() -> None:
    """In an order of their own, cut steps merged; without any there is nothing to train on."""
    cut = Solution("1+1?", (Generation("1 an", "length", TokenUsage(completion=2)), Generation("d 1", "eos")), True)
    found = ready([WRONG, cut])
    assert found == ready([cut, WRONG])
    assert [step.text for each in found for step in each.steps if each.problem == "1+1?"] == ["1 and 1"]
    with pytest.raises(ConfigurationError, match="no solution"):
        ready([])


def test_a_reward_from_scratch_by_one_command(
    digit_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sampled by a small model, trained, and used to score what it wrote.

    The model answers 1 or 2 in one token, and half of the problems have either answer: there are right and wrong
    solutions, whatever the processor makes of the model.
    """
    monkeypatch.chdir(tmp_path)
    problems = [
        {"question": f"{name} has {eaten + left} apples and eats {eaten}. How many are left?", "answer": str(left)}
        for name in ("Tom", "Ann", "Sam", "Eve", "Max", "Ida")
        for eaten in range(1, 7)
        for left in (1, 2)
    ]
    Path("problems.jsonl").write_text("".join(json.dumps(problem) + "\n" for problem in problems))
    command = ["train-reward", "problems.jsonl", "--weights", str(digit_weights), "--limit", "60", "--layers", "0.5"]
    done = CliRunner().invoke(app, [*command, "--epochs", "1", "--max-tokens", "1", "--out", "small.safetensors"])
    assert done.exit_code == 0, done.output
    assert "solving problems: 100 %" in done.stderr
    assert "AUC of steps" in done.stdout
    card = load_reward(Path("small.safetensors")).card
    assert card.base.sha256 == sha256_of(digit_weights)
    assert card.family == "lora"
    assert card.training["solutions"] == 60
    done = CliRunner().invoke(app, [*command, "--family", "probe", "--max-tokens", "1", "--out", "probe.safetensors"])
    assert done.exit_code == 0, done.output  # from what was solved already
    assert load_reward(Path("probe.safetensors")).card.family == "probe"
    monkeypatch.setenv("RSD_CACHE", str(tmp_path / "cache"))
    Path("rsd.toml").write_text(f'[draft]\npath = "{digit_weights}"\n')
    scoring = ["evaluate-reward", "--reward", "small.safetensors", "--solutions", ".rsd/reward/solutions.jsonl"]
    done = CliRunner().invoke(app, [*scoring, "--limit", "6", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["tokens_per_step"] > 0
