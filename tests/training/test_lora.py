import copy
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rsd_graph.training.backbone import PROJECTIONS, Backbone
from rsd_graph.training.fit import Fit, fit, split
from rsd_graph.training.hidden_states import compute_hidden_states
from rsd_graph.training.lora import _fingerprint, add_low_rank
from rsd_graph.training.options import Hyperparameters
from tests.training.examples import some_solutions, states_of


def test_a_new_low_rank_change_changes_nothing(backbone: Backbone) -> None:
    """Every weight matrix of the layers gets one, and `up` is zero at first; then it matters."""
    changed = copy.deepcopy(backbone)
    tokens = backbone.encode("We add 2 and 3.")
    changes = add_low_rank(changed, 1, 3, rank=2)
    assert list(changes) == [f"layers.{layer}.{name}" for layer in (1, 2) for name in PROJECTIONS]
    (before,), (after,) = backbone.states(tokens, [3]), changed.states(tokens, [3])
    torch.testing.assert_close(after, before)
    change: Any = changes["layers.2.mlp.down_proj"]
    change.up.data.fill_(0.1)
    assert not torch.allclose(changed.states(tokens, [3])[0], before)


def test_training_that_was_stopped_ends_as_if_it_had_not_been(backbone: Backbone, tmp_path: Path) -> None:
    """Stopped in the second epoch and started again: the same numbers as in one go. Some labels are not known."""
    solutions = some_solutions(60)
    labels = [
        [None if number % 2 else float(each.correct), float(each.correct)] for number, each in enumerate(solutions)
    ]
    chosen = Hyperparameters(first=2, last=3, rank=2, epochs=2)
    computed = compute_hidden_states(backbone, solutions, labels, chosen.first, tmp_path / "states")

    def run(checkpoint: Path, *, stop: bool) -> Fit:
        def progress(_what: str, part: float, _total: float) -> None:
            if stop and part > 0.7:
                raise KeyboardInterrupt

        return fit(copy.deepcopy(backbone), *split(computed, 0.2, 0), chosen, checkpoint, progress)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped.pt", stop=True)
    again, unbroken = run(tmp_path / "stopped.pt", stop=False), run(tmp_path / "unbroken.pt", stop=False)
    assert len(unbroken.figures["AUC of steps, linear probe alone and after each epoch"]) == 3
    assert again.figures == unbroken.figures
    ends = [torch.load(tmp_path / name, weights_only=True)["weights"] for name in ("stopped.pt", "unbroken.pt")]
    for one, other in zip(*ends, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
    assert max(float(weight.abs().max()) for weight in ends[0][3::2]) > 1e-3  # `up`, zero at first, was trained
    np.testing.assert_allclose(again.scale, unbroken.scale, rtol=1e-4)
    assert again.centre == pytest.approx(unbroken.centre, rel=1e-3)


def test_a_checkpoint_belongs_to_its_hyperparameters_and_data() -> None:
    """Those of earlier versions are still recognized: what is hashed stays the same."""
    chosen = Hyperparameters(first=2, last=3)
    solutions = [states_of("2+2?", torch.tensor([1.0, 0.0]))]
    text = "Plan(first=2, last=3, rank=8, epochs=3, rate=0.0005, decay=0.05, seed=0)2+2? [0, 1] [1.0, 0.0]"
    assert _fingerprint(chosen, solutions) == hashlib.sha256(text.encode()).hexdigest()
    others = {
        _fingerprint(Hyperparameters(first=2, last=3, seed=1), solutions),
        _fingerprint(chosen, [states_of("2+2?", torch.tensor([1.0, 1.0]))]),
        _fingerprint(chosen, [*solutions, *solutions]),
    }
    assert len(others | {_fingerprint(chosen, solutions)}) == 4
