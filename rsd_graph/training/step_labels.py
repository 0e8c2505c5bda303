"""The labels of steps as arrays: how much each step weighs, and how well logits separate right from wrong."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rsd_graph.evaluation.metrics import area_under_roc
from rsd_graph.training.hidden_states import SolutionStates

HALF = 0.5
"""A step whose label is above it is more often right than wrong."""


def step_labels(solutions: Sequence[SolutionStates]) -> Tensor:
    """The labels of all steps, in order, shape (steps,); NaN where a label is not known."""
    return torch.cat([torch.zeros(0), *(solution.labels for solution in solutions)])


def step_weights(solutions: Sequence[SolutionStates]) -> np.ndarray:
    """The weight of each step, shape (steps,): the steps of known label share their solution's weight of 1."""
    known = [~solution.labels.isnan().numpy() for solution in solutions]
    return np.concatenate([each / max(1, each.sum()) for each in known]).astype(np.float32)


def as_right_and_wrong(solutions: Sequence[SolutionStates]) -> tuple[np.ndarray, np.ndarray]:
    """Classes and weights, shape (2 * steps,) each, for a classifier that takes no soft labels.

    Each step is there twice, first as right and then as wrong, with its label's share of its weight. A step of unknown
    label weighs nothing.
    """
    labels, weights = np.nan_to_num(step_labels(solutions).numpy()), step_weights(solutions)
    return np.repeat([1, 0], len(labels)), np.concatenate([labels * weights, (1 - labels) * weights])


def step_area(logits: np.ndarray, solutions: Sequence[SolutionStates]) -> float:
    """Area under the ROC curve of the steps whose labels are known."""
    labels = step_labels(solutions).numpy()
    known = ~np.isnan(labels)
    return area_under_roc(logits[known].tolist(), (labels[known] > HALF).tolist())
