"""On real weights, the tiny model: what is trained in torch is what llama.cpp and transformers then serve."""

import asyncio
import copy
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from langchain_core.messages import HumanMessage
from typer.testing import CliRunner

from rsd_graph import Generation, Step
from rsd_graph.cli import app
from rsd_graph.data.solutions import Solution
from rsd_graph.errors import ConfigurationError, RewardError, WeightsError
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp
from rsd_graph.models.llamacpp_scorer import LlamaCppScorer
from rsd_graph.models.transformers_scorer import TransformersScorer
from rsd_graph.models.weights import TINY
from rsd_graph.rewards.prm import ProcessReward
from rsd_graph.rewards.trained.file import RewardFile, load_reward
from rsd_graph.rewards.trained.gguf import merge
from rsd_graph.training.backbone import PROJECTIONS, Backbone, check_architecture, identity
from rsd_graph.training.export import export
from rsd_graph.training.fitting import Plan, fit, fit_curve, split
from rsd_graph.training.hidden_states import SolutionStates, read
from rsd_graph.training.pipeline import Folder, Options, train

OPTIONS = Options(layers=0.2, changed=2, rank=4, epochs=1)


def some_solutions(count: int) -> list[Solution]:
    """Sums; the wrong ones say so in their words, which a reward can learn."""
    generator = random.Random(0)
    solutions = []
    for number in range(count):
        one, other = generator.randint(2, 99), generator.randint(2, 99)
        right = generator.random() < 0.5
        steps = [f"We add {one} and {other}.", f"That {'makes' if right else 'is not'} \\boxed{{{one + other}}}."]
        solutions.append(
            Solution(f"{number}: {one} + {other}?", tuple(Generation(step, "delimiter") for step in steps), right)
        )
    return solutions


class Silent:
    def stage(self, name: str, done: float, total: float) -> None: ...


@pytest.fixture(scope="module")
def trained(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> RewardFile:
    """A reward of the family `lora` on six layers of the tiny model, two of them changed."""
    solutions = some_solutions(60)
    labels = [[0.5, float(solution.correct)] for solution in solutions]
    folder = Folder(tmp_path_factory.mktemp("run"), OPTIONS, {})
    return train(tiny_weights, solutions, labels, OPTIONS, folder, Silent())


def llamacpp(file: Path) -> LlamaCppScorer:
    return LlamaCppScorer(EmbeddedLlamaCpp(file, slots=1, context=2048))


def rewards(engine: Any, reward: RewardFile, solutions: list[Solution]) -> np.ndarray:
    async def score() -> list[float]:
        model = ProcessReward(reward.card.score(), engine)
        found = []
        for solution in solutions:
            first, second = solution.steps
            found += await model.score([HumanMessage(solution.problem)], [], [first])
            found += await model.score([HumanMessage(solution.problem)], [Step(first.text, "draft")], [second])
        await model.aclose()
        return [each.reward for each in found]

    return np.array(asyncio.run(score()))


def test_llamacpp_and_transformers_give_the_same_reward(
    trained: RewardFile, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Grafted on the GGUF file and exported as a checkpoint, with changes to every kind of weight."""
    rng = np.random.default_rng(0)
    updates = {name: (down, rng.normal(scale=0.02, size=up.shape)) for name, (down, up) in trained.updates.items()}
    changed = replace(trained, updates=updates)
    assert {name.split(".", 2)[2] for name in updates} == set(PROJECTIONS)
    monkeypatch.setenv("RSD_CACHE", str(tmp_path))
    solutions = some_solutions(70)[60:]
    embedded, unchanged = (
        rewards(llamacpp(merge(reward, tiny_weights, TINY.sha256)), reward, solutions) for reward in (changed, trained)
    )
    export(changed, tiny_weights, tmp_path / "exported")
    exact = rewards(TransformersScorer(tmp_path / "exported", dtype="float32"), changed, solutions)
    ours, theirs = np.log(embedded / (1 - embedded)), np.log(exact / (1 - exact))
    assert np.abs(ours - theirs).max() < 0.25 * theirs.std()  # llama.cpp computes in 8 bits
    assert np.corrcoef(ours, theirs)[0, 1] > 0.99
    assert np.abs(embedded - unchanged).max() > 0.1  # the changes matter


def test_the_reward_tells_right_from_wrong(
    trained: RewardFile, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of solutions that it has not learned from."""
    monkeypatch.setenv("RSD_CACHE", str(tmp_path))
    file = merge(trained, tiny_weights, TINY.sha256)
    assert merge(trained, tiny_weights, TINY.sha256) == file
    solutions = some_solutions(90)[60:]
    ends = rewards(llamacpp(file), trained, solutions)[1::2]
    right = np.array([solution.correct for solution in solutions])
    assert ends[right].mean() > ends[~right].mean() + 0.2


def test_a_step_costs_its_own_tokens_however_long_the_prefix(
    trained: RewardFile, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step 40 as step 5."""
    monkeypatch.setenv("RSD_CACHE", str(tmp_path))
    engine = llamacpp(merge(trained, tiny_weights, TINY.sha256))

    async def computed() -> list[int]:
        model = ProcessReward(trained.card.score(), engine)
        kept: list[Step] = []
        costs = []
        for number in range(10, 50):
            candidate = Generation(f"Step {number}: we add nothing at all here.", "delimiter")
            (scored,) = await model.score([HumanMessage("2+2?")], kept, [candidate])
            costs.append(scored.usage.computed)
            kept.append(Step(candidate.text, "draft"))
        await model.aclose()
        return costs

    costs = asyncio.run(computed())
    assert costs[39] == costs[4] < 30


def test_another_model_is_refused_by_name(trained: RewardFile, tiny_weights: Path) -> None:
    """Another model, another quantisation: whatever has other bytes."""
    with pytest.raises(RewardError, match=f"trained on {tiny_weights.name} .* another quantisation"):
        merge(trained, tiny_weights, "00ff")


def test_training_that_was_stopped_ends_as_if_it_had_not_been(tiny_weights: Path, tmp_path: Path) -> None:
    """Stopped in the second epoch, started again: the same numbers as in one go. Some labels are not known."""
    solutions = some_solutions(60)
    labels = [
        [None if number % 2 else float(each.correct), float(each.correct)] for number, each in enumerate(solutions)
    ]
    plan = Plan(first=2, last=3, rank=2, epochs=2)

    loaded = Backbone(tiny_weights)

    def run(checkpoint: Path, stop: bool) -> Any:
        backbone = copy.deepcopy(loaded)
        readings = read(backbone, solutions, labels, plan.first, tmp_path / "states", lambda _done, _total: None)

        def progress(part: float) -> None:
            if stop and part > 0.7:
                raise KeyboardInterrupt

        return fit(backbone, *split(readings, 0.2, 0), plan, checkpoint, progress)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped.pt", stop=True)
    again, unbroken = run(tmp_path / "stopped.pt", stop=False), run(tmp_path / "unbroken.pt", stop=False)
    assert len(unbroken.figures["AUC of steps, linear reading alone and behind each epoch"]) == 3
    assert again.figures == unbroken.figures
    ends = [torch.load(tmp_path / name, weights_only=True)["weights"] for name in ("stopped.pt", "unbroken.pt")]
    for one, other in zip(*ends, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
    assert max(float(weight.abs().max()) for weight in ends[0][3::2]) > 1e-3  # `up`, zero at first, was trained
    np.testing.assert_allclose(again.scale, unbroken.scale, rtol=1e-4)
    assert again.centre == pytest.approx(unbroken.centre, rel=1e-3)


@pytest.mark.parametrize(("count", "labels"), [(60, [1.0]), (60, [0.0]), (8, [0.0, 1.0])])
def test_too_little_to_learn_from_is_said(count: int, labels: list[float]) -> None:
    """One class only, or too few problems."""
    readings = [
        SolutionStates(
            str(number),
            torch.zeros(3, 4),
            torch.tensor([2]),
            torch.tensor([labels[number % len(labels)]]),
            correct=bool(labels[number % len(labels)]),
        )
        for number in range(count)
    ]
    with pytest.raises(ConfigurationError, match="too little to"):
        split(readings, 0.2, seed=0)


def test_the_surprisal_is_weighed_against_the_reward() -> None:
    """From outcomes alone; not without log-probabilities, and not from a handful of solutions."""
    generator = np.random.default_rng(0)
    readings, log_odds = [], generator.normal(size=9000)
    for number in range(3000):
        nats = torch.from_numpy(generator.exponential(3.0, 3)).float()
        logits = 3.0 + 0.5 * log_odds[3 * number : 3 * number + 3] - np.log1p(nats.numpy())
        correct = bool((generator.random(3) < 1 / (1 + np.exp(-logits))).all())
        readings.append(SolutionStates(str(number), torch.zeros(3, 4), torch.arange(3), torch.ones(3), correct, nats))
    curve = fit_curve(log_odds, readings)
    assert curve is not None
    assert (curve.intercept, curve.value, curve.surprisal) == pytest.approx((3.0, 0.5, 1.0), abs=0.3)
    assert fit_curve(log_odds[:30], readings[:10]) is None
    assert fit_curve(log_odds, [replace(readings[0], surprisals=None), *readings[1:]]) is None


def test_a_step_of_unknown_label_weighs_nothing() -> None:
    """It is neither right nor wrong when there is too little of either."""
    labels = torch.tensor([1.0, 0.0, float("nan")])
    readings = [
        SolutionStates(str(number), torch.zeros(3, 4), torch.arange(3), labels, correct=False) for number in range(60)
    ]
    training, held_out = split(readings, 0.2, seed=0)
    assert (len(training), len(held_out)) == (48, 12)
    unknown = [replace(reading, labels=torch.full((3,), float("nan"))) for reading in readings]
    with pytest.raises(ConfigurationError, match="with 0 right and 0 wrong steps"):
        split(unknown, 0.2, seed=0)


def test_a_model_that_cannot_be_trained_is_refused_before_any_work(tmp_path: Path) -> None:
    """Of another architecture, or whose weights could not be told from others."""
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(WeightsError, match="'gpt2'; llama and qwen2 can be trained"):
        check_architecture(tmp_path)
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(WeightsError, match=r"no \*.safetensors"):
        identity(tmp_path)


def test_the_recipe_from_scratch_by_one_command(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sampled by the tiny model, trained, and used to score what it wrote."""
    monkeypatch.chdir(tmp_path)
    generator = random.Random(1)
    problems = []
    for name in ("Tom", "Ann", "Sam", "Eve", "Max", "Ida", "Ben", "Zoe"):
        for one, other in generator.sample([(one, other) for one in range(1, 5) for other in range(1, 5)], 12):
            question = f"{name} has {one} apples and gets {other} more. How many apples does {name} have now?"
            problems.append({"question": question, "answer": str(one + other)})
    Path("problems.jsonl").write_text("".join(json.dumps(problem) + "\n" for problem in problems))
    command = ["train-reward", "problems.jsonl", "--weights", str(tiny_weights), "--limit", "90", "--layers", "0.1"]
    done = CliRunner().invoke(app, [*command, "--epochs", "1", "--max-tokens", "32", "--out", "tiny.safetensors"])
    assert done.exit_code == 0, done.output
    assert "solving problems: 100 %" in done.stderr
    assert "AUC of steps" in done.stdout
    card = load_reward(Path("tiny.safetensors")).card
    assert card.base.sha256 == TINY.sha256
    assert card.training["solutions"] > 80
    done = CliRunner().invoke(app, [*command, "--family", "probe", "--max-tokens", "32", "--out", "probe.safetensors"])
    assert done.exit_code == 0, done.output  # from what was solved already
    assert load_reward(Path("probe.safetensors")).card.family == "probe"
    monkeypatch.setenv("RSD_CACHE", str(tmp_path / "cache"))
    Path("rsd.toml").write_text(f'[draft]\npath = "{tiny_weights}"\n')
    scoring = ["evaluate-reward", "--reward", "tiny.safetensors", "--solutions", ".rsd/reward/solutions.jsonl"]
    done = CliRunner().invoke(app, [*scoring, "--limit", "6", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["tokens_per_step"] > 0
