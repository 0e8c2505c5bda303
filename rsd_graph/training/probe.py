"""The linear probe: a logistic regression on the last kept hidden state at each step's end.

Alone, on frozen layers, it is the family `probe`. It is also where the family `lora` starts from.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional

from rsd_graph.training.backbone import Backbone
from rsd_graph.training.hidden_states import SolutionStates
from rsd_graph.training.step_labels import as_right_and_wrong, step_area

STRENGTHS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 1e-1)
"""Inverse regularisation strengths to choose from, for features of unit variance."""
FLOOR = 0.3
"""Least standard deviation that a feature is divided by, as a share of the median."""
BATCH = 8
"""Solutions that the layers compute at once."""


class Probe:
    """The backbone's layers from `first` to before `last`, and a linear probe at their end.

    Args:
        backbone: The draft.
        first: Layers that the recorded hidden states have gone through.
        last: Layers to go through in all.
    """

    def __init__(self, backbone: Backbone, first: int, last: int) -> None:
        self._backbone = backbone
        self._first, self._last = first, last
        self._norm: Any = backbone.norm()
        self._direction = backbone.direction()
        self.scale = torch.nn.Parameter(torch.zeros_like(self._direction))
        self.bias = torch.nn.Parameter(torch.zeros(()))

    def logits(self, batch: Sequence[SolutionStates]) -> Tensor:
        """The logits of all steps of the batch, in order, shape (steps,)."""
        return self._features(batch) @ self.scale + self.bias

    def all_logits(self, solutions: Sequence[SolutionStates]) -> np.ndarray:
        """The logits of all steps, in order, shape (steps,), without gradients."""
        with torch.no_grad():
            batches = [self.logits(solutions[at : at + BATCH]) for at in range(0, len(solutions), BATCH)]
        return np.asarray(torch.cat(batches))

    def fit(self, training: Sequence[SolutionStates], held_out: Sequence[SolutionStates]) -> float:
        """Fit the logistic regression, with the regularisation that does best on the held-out problems.

        Returns:
            The AUC of the held-out steps.
        """
        known, unknown = self._all_features(training), self._all_features(held_out)
        spread = known.std(axis=0)
        # a feature that hardly varies would need a huge scale, and spoil its neighbours in the 8 bits that llama.cpp
        # computes in
        spread = np.maximum(spread, FLOOR * np.median(spread))
        classes, weights = as_right_and_wrong(training)
        twice = np.concatenate([known, known]) / spread
        models = [
            LogisticRegression(C=strength, max_iter=500).fit(twice, classes, sample_weight=weights)
            for strength in STRENGTHS
        ]
        areas = [step_area(unknown / spread @ model.coef_[0], held_out) for model in models]
        chosen = models[int(np.argmax(areas))]
        with torch.no_grad():
            self.scale.copy_(torch.from_numpy(chosen.coef_[0] / spread))
            self.bias.fill_(float(chosen.intercept_[0]))
        return max(areas)

    def _all_features(self, solutions: Sequence[SolutionStates]) -> np.ndarray:
        with torch.no_grad():
            batches = [self._features(solutions[at : at + BATCH]) for at in range(0, len(solutions), BATCH)]
        return np.asarray(torch.cat(batches))

    def _features(self, batch: Sequence[SolutionStates]) -> Tensor:
        """The normed hidden state at each step's end, multiplied by the label direction, shape (steps, hidden size)."""
        hidden = torch.nn.utils.rnn.pad_sequence([solution.hidden.float() for solution in batch], batch_first=True)
        lengths = torch.tensor([len(solution.hidden) for solution in batch])
        mask = (torch.arange(hidden.shape[1]) < lengths[:, None]).long()
        top = self._backbone.top(self._first, self._last, hidden, mask)
        ends = torch.cat([top[index, solution.ends] for index, solution in enumerate(batch)])
        normed = functional.rms_norm(ends, ends.shape[-1:], eps=self._norm.variance_epsilon)
        return normed * self._direction
