from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rsd_graph.errors import RewardError, WeightsError
from rsd_graph.models.transformers_scorer import TransformersScorer
from rsd_graph.models.weights import sha256_of
from rsd_graph.rewards.trained.file import RewardFile
from rsd_graph.rewards.trained.format import Base
from rsd_graph.rewards.trained.gguf import merge
from rsd_graph.training.backbone import PROJECTIONS
from rsd_graph.training.export import export
from tests.training.examples import llamacpp, rewards, some_solutions


def test_llamacpp_and_transformers_give_the_same_reward(
    trained: RewardFile, small_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Merged into the GGUF file and exported as a checkpoint, with changes to every kind of weight."""
    rng = np.random.default_rng(0)
    updates = {name: (down, rng.normal(scale=0.02, size=up.shape)) for name, (down, up) in trained.updates.items()}
    changed = replace(trained, updates=updates)
    assert {name.split(".", 2)[2] for name in updates} == set(PROJECTIONS)
    monkeypatch.setenv("RSD_CACHE", str(tmp_path))
    solutions = some_solutions(70)[60:]
    embedded, unchanged = (
        rewards(llamacpp(merge(reward, small_weights, sha256_of(small_weights))), reward, solutions)
        for reward in (changed, trained)
    )
    export(changed, small_weights, tmp_path / "exported")
    exact = rewards(TransformersScorer(tmp_path / "exported", dtype="float32"), changed, solutions)
    ours, theirs = np.log(embedded / (1 - embedded)), np.log(exact / (1 - exact))
    assert np.abs(ours - theirs).max() < 0.25 * theirs.std()  # llama.cpp computes in 8 bits
    assert np.corrcoef(ours, theirs)[0, 1] > 0.99
    assert np.abs(embedded - unchanged).max() > 0.1  # the changes matter


def test_what_cannot_be_exported_is_refused(trained: RewardFile, small_weights: Path, tmp_path: Path) -> None:
    """A reward of another model, a base that is not a model, and a folder that cannot be written."""
    other = replace(trained, card=trained.card.model_copy(update={"base": Base(name="other.gguf", sha256="00ff")}))
    with pytest.raises(RewardError, match=r"trained on 'other\.gguf'"):
        export(other, small_weights, tmp_path / "exported")
    with pytest.raises(WeightsError, match="cannot load the draft"):
        export(trained, tmp_path, tmp_path / "exported")
    (tmp_path / "file").touch()
    with pytest.raises(WeightsError, match="cannot write the checkpoint"):
        export(trained, small_weights, tmp_path / "file" / "below")
