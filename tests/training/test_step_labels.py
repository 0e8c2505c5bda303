import numpy as np
import torch

from rsd_graph.training.step_labels import as_right_and_wrong, step_area, step_labels, step_weights
from tests.training.examples import states_of

SOLUTIONS = [states_of("a", torch.tensor([1.0, 0.25, float("nan")])), states_of("b", torch.tensor([0.0]))]


def test_a_solution_weighs_the_same_however_many_steps_it_has() -> None:
    """Its steps of known label share a weight of one; a step of unknown label has none."""
    assert step_weights(SOLUTIONS).tolist() == [0.5, 0.5, 0.0, 1.0]
    assert step_labels(SOLUTIONS)[[0, 1, 3]].tolist() == [1.0, 0.25, 0.0]
    assert len(step_labels([])) == 0


def test_a_soft_label_is_partly_right_and_partly_wrong() -> None:
    """Each step is there once for each class, with its label's share of its weight."""
    classes, weights = as_right_and_wrong(SOLUTIONS)
    assert classes.tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    assert weights.tolist() == [0.5, 0.125, 0.0, 0.0, 0.0, 0.375, 0.0, 1.0]


def test_the_area_leaves_out_steps_of_unknown_label() -> None:
    """Whatever their logits are."""
    for unknown in (-9.0, 9.0):
        assert step_area(np.array([2.0, 1.0, unknown, 0.0]), SOLUTIONS) == 1.0
    assert step_area(np.array([0.5, 1.0, 0.0, 0.0]), SOLUTIONS) == 0.5
