"""What is trained in torch, as llama.cpp computes it."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from langchain_core.messages import HumanMessage

from rsd_graph import Generation, Step
from rsd_graph.errors import RewardError
from rsd_graph.models.weights import sha256_of
from rsd_graph.rewards.prm import ProcessReward
from rsd_graph.rewards.trained.file import RewardFile
from rsd_graph.rewards.trained.gguf import merge
from tests.training.examples import llamacpp, rewards, some_solutions


def test_the_reward_tells_right_from_wrong(
    trained: RewardFile, small_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On solutions that it was not trained on. The merged file is made once."""
    monkeypatch.setenv("RSD_CACHE", str(tmp_path))
    sha256 = sha256_of(small_weights)
    file = merge(trained, small_weights, sha256)
    assert merge(trained, small_weights, sha256) == file
    solutions = some_solutions(80)[60:]
    ends = rewards(llamacpp(file), trained, solutions)[1::2]
    right = np.array([solution.correct for solution in solutions])
    assert ends[right].mean() > ends[~right].mean() + 0.2


def test_a_step_costs_its_own_tokens_however_long_the_prefix(
    trained: RewardFile, small_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step 40 costs what step 5 does."""
    monkeypatch.setenv("RSD_CACHE", str(tmp_path))
    backend = llamacpp(merge(trained, small_weights, sha256_of(small_weights)))

    async def computed() -> list[int]:
        model = ProcessReward(trained.card.score(), backend)
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


def test_another_model_is_refused_by_name(trained: RewardFile, small_weights: Path) -> None:
    """Another model, another quantisation: any file with other bytes."""
    with pytest.raises(RewardError, match=f"trained on '{small_weights.name}' .* another quantisation"):
        merge(trained, small_weights, "00ff")
