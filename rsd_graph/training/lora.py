"""LoRA (arXiv 2106.09685): low-rank changes of the last kept layers, trained with the probe by gradient descent.

Every epoch is kept in a checkpoint, from which a run that was stopped resumes.
"""

import hashlib
import io
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rsd_graph._internal.files import write_atomically
from rsd_graph._internal.progress import Progress, silent
from rsd_graph.training.backbone import PROJECTIONS, Backbone
from rsd_graph.training.hidden_states import SolutionStates
from rsd_graph.training.options import Hyperparameters
from rsd_graph.training.probe import BATCH, Probe
from rsd_graph.training.step_labels import step_area, step_labels, step_weights

WARM_UP = 0.1
"""Share of the optimizer's steps over which the learning rate rises."""
SIMILAR_LENGTH = 64
"""Solutions whose token counts differ by less may share a batch."""


class LowRank(nn.Module):  # type: ignore[misc]  # torch is Any to mypy
    """A frozen linear layer and a low-rank change of it: `W x + up (down x)`."""

    def __init__(self, linear: nn.Module, rank: int) -> None:
        super().__init__()
        inputs, outputs = linear.in_features, linear.out_features
        self.linear = linear
        self.down = nn.Parameter(torch.randn(rank, inputs) / inputs**0.5)
        self.up = nn.Parameter(torch.zeros(outputs, rank))

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output, with the change."""
        return self.linear(x) + x @ self.down.T @ self.up.T


def add_low_rank(backbone: Backbone, first: int, last: int, rank: int) -> dict[str, LowRank]:
    """Add a low-rank change, zero at first, to every weight of the layers from `first` to before `last`."""
    changes = {}
    for name in (f"layers.{index}.{projection}" for index in range(first, last) for projection in PROJECTIONS):
        changes[name] = LowRank(backbone.linear(name), rank)
        backbone.replace(name, changes[name])
    return changes


def descend(
    probe: Probe,
    changes: Mapping[str, LowRank],
    training: Sequence[SolutionStates],
    held_out: Sequence[SolutionStates],
    chosen: Hyperparameters,
    area: float,
    checkpoint: Path,
    progress: Progress = silent,
) -> list[float]:
    """Train the probe and the changes below it; what is kept is the epoch that does best on the held-out problems.

    Args:
        probe: Fitted to `training`.
        changes: Of its layers, as `add_low_rank` returns them.
        training: What to learn from.
        held_out: What to choose the epoch by.
        chosen: How to train.
        area: The AUC of the held-out steps before the first epoch.
        checkpoint: Where every epoch is kept. A run with the same hyperparameters on the same data resumes from it.
        progress: Told which part of all epochs is done.

    Returns:
        The AUC of the held-out steps before the first epoch and after each.
    """
    state = _State(probe, changes, chosen, total=chosen.epochs * math.ceil(len(training) / BATCH), area=area)
    made_of = _fingerprint(chosen, [*training, *held_out])
    state.resume(checkpoint, made_of)
    for epoch in range(state.epoch, chosen.epochs):
        batches = _batches(training, chosen.seed + epoch)
        for number, batch in enumerate(batches, start=1):
            state.step(probe, batch)
            progress("training", (epoch * len(batches) + number) / state.total, 1)
        state.end_epoch(step_area(probe.all_logits(held_out), held_out))
        state.save(checkpoint, made_of)
    state.put(state.best)
    return state.areas


class _State:
    """What gradient descent has reached: the weights, the optimizer, and the best epoch so far."""

    def __init__(
        self, probe: Probe, changes: Mapping[str, LowRank], chosen: Hyperparameters, *, total: int, area: float
    ) -> None:
        self._below: list[Any] = [probe.bias, *(each for change in changes.values() for each in _parameters(change))]
        self._all: list[Any] = [probe.scale, *self._below]
        # the scale's size depends on its features', so that its learning rate has to be in proportion
        size = float(probe.scale.detach().abs().mean()) or 1.0
        self._optimizer = torch.optim.AdamW(
            [
                {"params": [probe.scale], "lr": chosen.rate * size, "weight_decay": 0.0},
                {"params": self._below, "lr": chosen.rate},
            ],
            weight_decay=chosen.decay,
        )
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer, lambda step: min((step + 1) / (WARM_UP * total + 1), max(0.0, 1 - step / total))
        )
        self.total = total
        self.epoch = 0
        self.areas = [area]
        self.best = self.weights()

    def step(self, probe: Probe, batch: Sequence[SolutionStates]) -> None:
        """Learn from one batch."""
        labels, weights = step_labels(batch), torch.from_numpy(step_weights(batch))
        known = ~labels.isnan()
        losses = functional.binary_cross_entropy_with_logits(
            probe.logits(batch)[known], labels[known], reduction="none"
        )
        self._optimizer.zero_grad()
        ((losses * weights[known]).sum() / len(batch)).backward()
        torch.nn.utils.clip_grad_norm_(self._below, 1.0)
        self._optimizer.step()
        self._schedule.step()

    def end_epoch(self, area: float) -> None:
        """Note how well the epoch did."""
        if area > max(self.areas):
            self.best = self.weights()
        self.areas = [*self.areas, area]
        self.epoch += 1

    def weights(self) -> list[Tensor]:
        """A copy of everything that is trained."""
        return [parameter.detach().clone() for parameter in self._all]

    def put(self, weights: Sequence[Tensor]) -> None:
        """Set everything that is trained."""
        with torch.no_grad():
            for parameter, weight in zip(self._all, weights, strict=True):
                parameter.copy_(weight)

    def save(self, checkpoint: Path, made_of: str) -> None:
        """Write the checkpoint."""
        content = io.BytesIO()  # where torch writes the file itself, a full disk does not raise an OSError
        kept = {
            "made_of": made_of,
            "epoch": self.epoch,
            "weights": self.weights(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "best": self.best,
            "areas": self.areas,
        }
        torch.save(kept, content)
        write_atomically(checkpoint, content.getvalue())

    def resume(self, checkpoint: Path, made_of: str) -> None:
        """Take up the checkpoint, if there is one of such a run."""
        if not checkpoint.exists():
            return
        kept = torch.load(checkpoint, weights_only=True)
        if kept["made_of"] == made_of:
            self.put(kept["weights"])
            self._optimizer.load_state_dict(kept["optimizer"])
            self._schedule.load_state_dict(kept["schedule"])
            self.best, self.areas, self.epoch = kept["best"], kept["areas"], kept["epoch"]


def _parameters(change: LowRank) -> tuple[Any, Any]:
    return change.down, change.up


def _fingerprint(chosen: Hyperparameters, solutions: Sequence[SolutionStates]) -> str:
    """Identifies what a checkpoint was made of: the hyperparameters, and the solutions and labels in their order."""
    # `Plan(...)` is what earlier versions wrote into their checkpoints: these can still be resumed
    fields = ", ".join(f"{name}={value!r}" for name, value in asdict(chosen).items())
    digest = hashlib.sha256(f"Plan({fields})".encode())
    for solution in solutions:
        digest.update(f"{solution.problem} {solution.ends.tolist()} {solution.labels.tolist()}".encode())
    return digest.hexdigest()


def _batches(solutions: Sequence[SolutionStates], seed: int) -> list[list[SolutionStates]]:
    """Batches of solutions of similar length, in random order."""
    generator = random.Random(seed)  # noqa: S311  # repeatable, not secret
    order = sorted(solutions, key=lambda solution: (len(solution.hidden) // SIMILAR_LENGTH, generator.random()))
    batches = [list(order[at : at + BATCH]) for at in range(0, len(order), BATCH)]
    generator.shuffle(batches)
    return batches
