"""Train a reward on what the backbone has read: first the linear reading, then low-rank changes below it; calibrate.

The reading alone is the family `probe`: an L2-regularised logistic regression on the frozen hidden state behind each
step. With the changes it is `lora`, trained from that reading on by gradient descent.
"""

import hashlib
import io
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional

from rsd_graph._internal.files import write_atomically
from rsd_graph.errors import ConfigurationError
from rsd_graph.evaluation.calibration import enough, fit_steps
from rsd_graph.evaluation.metrics import area_under_roc
from rsd_graph.rewards.combined import StepCalibration, log_odds
from rsd_graph.training.backbone import Backbone, LowRank
from rsd_graph.training.hidden_states import SolutionStates

PROBLEMS, STEPS = 10, 5
"""Fewest problems, and fewest right and fewest wrong steps, to train on and to calibrate on."""
STRENGTHS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 1e-1)
"""Inverse strengths of the regularisation to choose from, for features of unit variance."""
FLOOR = 0.3
"""Least spread that a feature is brought to unit variance from, as a share of the median."""
BATCH = 8
LEAST_SLOPE = 1e-3
"""Of the calibration: a reward that is worth nothing must not turn around."""
HALF = 0.5
"""A step whose label is above it is more often right than wrong."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A trained and calibrated reading."""

    scale: np.ndarray
    """Of the final norm, shape (hidden size,)."""
    centre: float
    """Logit that is worth 0.5."""
    updates: dict[str, tuple[np.ndarray, np.ndarray]]
    curve: StepCalibration | None
    """Together with the draft's surprisal, if there was enough to fit it to."""
    figures: dict[str, Any]
    """How well it did on the problems held out."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train. `first` and `last`: changed are the layers between, and `last` are kept."""

    first: int
    last: int
    rank: int = 8
    epochs: int = 3
    rate: float = 5e-4
    decay: float = 0.05
    seed: int = 0


def split(
    states: Sequence[SolutionStates], share: float, seed: int
) -> tuple[list[SolutionStates], list[SolutionStates]]:
    """A part to train on and one to hold out; all solutions of one problem stay together.

    Raises:
        ConfigurationError: there is too little of either, or one class only.
    """
    problems = sorted({reading.problem for reading in states})
    random.Random(seed).shuffle(problems)  # noqa: S311  # repeatable, not secret
    held = set(problems[: max(1, round(len(problems) * share))])
    parts = (
        [reading for reading in states if reading.problem not in held],
        [reading for reading in states if reading.problem in held],
    )
    for part, purpose in zip(parts, ("train on", "calibrate on"), strict=True):
        labels = _labels(part)
        labels = labels[~labels.isnan()]
        right = int((labels > HALF).sum())
        wrong = len(labels) - right
        count = len({reading.problem for reading in part})
        if min(right, wrong) < STEPS or count < PROBLEMS:
            raise ConfigurationError(
                f"too little to {purpose}: {count} problems with {right} right and {wrong} wrong steps; at least "
                f"{PROBLEMS}, {STEPS} and {STEPS} are needed. Sample more problems (a larger --limit goes on from "
                "these), or such that the draft solves some of them and not others"
            )
    return parts


def fit(
    backbone: Backbone,
    training: Sequence[SolutionStates],
    held_out: Sequence[SolutionStates],
    plan: Plan,
    checkpoint: Path,
    progress: Callable[[float], None],
) -> Fit:
    """Train and calibrate.

    Args:
        backbone: The draft that has read.
        training: What to learn from.
        held_out: What to choose and calibrate by.
        plan: How.
        checkpoint: Where every epoch is kept; a run of the same plan on the same states goes on behind the last one.
        progress: Told what part of all is done.
    """
    torch.manual_seed(plan.seed)
    head = Head(backbone, plan)
    progress(0.0)
    areas = [head.fit_linear(training, held_out)]
    if plan.first < plan.last:
        areas = _descend(head, training, held_out, plan, checkpoint, progress, areas)
    return _calibrated(head, held_out, areas)


class Head:
    """The layers from `plan.first` on, and the reading at their end."""

    def __init__(self, backbone: Backbone, plan: Plan) -> None:
        self._trunk = backbone
        self._plan = plan
        self._norm: Any = backbone.norm()
        self.changes: dict[str, LowRank] = backbone.adapt(plan.first, plan.last, plan.rank)
        self.direction = backbone.direction()
        self.scale = torch.nn.Parameter(torch.zeros_like(self.direction))
        self.bias = torch.nn.Parameter(torch.zeros(()))

    def parameters(self) -> list[torch.nn.Parameter]:
        """All that gradient descent changes."""
        return [self.scale, self.bias, *(each for change in self.changes.values() for each in (change.down, change.up))]

    def logits(self, batch: Sequence[SolutionStates]) -> Tensor:
        """Of every step of the batch, one after another."""
        return self._features(batch) @ self.scale + self.bias

    def rewards(self, states: Sequence[SolutionStates]) -> np.ndarray:
        """Logits of every step, without gradients."""
        with torch.no_grad():
            batches = [self.logits(states[at : at + BATCH]) for at in range(0, len(states), BATCH)]
        return np.asarray(torch.cat(batches))

    def fit_linear(self, training: Sequence[SolutionStates], held_out: Sequence[SolutionStates]) -> float:
        """The logistic regression, with the regularisation that does best on the problems held out: its AUC there."""
        with torch.no_grad():
            known, unknown = (
                torch.cat([self._features(part[at : at + BATCH]) for at in range(0, len(part), BATCH)]).numpy()
                for part in (training, held_out)
            )
        spread = known.std(axis=0)
        # a number that the label direction all but leaves out would need a huge scale, and spoil its neighbours in the
        # 8 bits that llama.cpp computes in
        spread = np.maximum(spread, FLOOR * np.median(spread))
        labels, weights = _doubled(training)
        twice = np.concatenate([known, known]) / spread
        models = [
            LogisticRegression(C=strength, max_iter=500).fit(twice, labels, sample_weight=weights)
            for strength in STRENGTHS
        ]
        areas = [_area(unknown / spread @ model.coef_[0], held_out) for model in models]
        chosen = models[int(np.argmax(areas))]
        with torch.no_grad():
            self.scale.copy_(torch.from_numpy(chosen.coef_[0] / spread))
            self.bias.fill_(float(chosen.intercept_[0]))
        return max(areas)

    def _features(self, batch: Sequence[SolutionStates]) -> Tensor:
        """The last hidden state behind each step, normed, each number times the label direction's: (steps, hidden)."""
        states = torch.nn.utils.rnn.pad_sequence([reading.states.float() for reading in batch], batch_first=True)
        lengths = torch.tensor([len(reading.states) for reading in batch])
        mask = (torch.arange(states.shape[1]) < lengths[:, None]).long()
        top = self._trunk.top(self._plan.first, self._plan.last, states, mask)
        ends = torch.cat([top[index, reading.ends] for index, reading in enumerate(batch)])
        normed = functional.rms_norm(ends, ends.shape[-1:], eps=self._norm.variance_epsilon)
        return normed * self.direction


def _descend(
    head: Head,
    training: Sequence[SolutionStates],
    held_out: Sequence[SolutionStates],
    plan: Plan,
    checkpoint: Path,
    progress: Callable[[float], None],
    areas: list[float],
) -> list[float]:
    """Gradient descent on everything; the epoch that does best on the problems held out is the one that stays.

    Returns:
        AUC on them before the first epoch, which `areas` holds, and behind each.
    """
    scales, others = head.parameters()[:1], head.parameters()[1:]
    # the scale has the size that its features leave it, so that its steps have to be in proportion
    size = float(head.scale.detach().abs().mean()) or 1.0
    optimizer = torch.optim.AdamW(
        [{"params": scales, "lr": plan.rate * size, "weight_decay": 0.0}, {"params": others, "lr": plan.rate}],
        weight_decay=plan.decay,
    )
    batches = -(-len(training) // BATCH)
    total = batches * plan.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / (0.1 * total + 1), max(0.0, 1 - step / total))
    )
    best = _weights(head)
    start = 0
    made_of = _fingerprint(plan, [*training, *held_out])
    if checkpoint.exists():
        kept = torch.load(checkpoint, weights_only=True)
        if kept["made_of"] == made_of:
            _put(head, kept["weights"])
            optimizer.load_state_dict(kept["optimizer"])
            schedule.load_state_dict(kept["schedule"])
            best, areas, start = kept["best"], kept["areas"], kept["epoch"]
    for epoch in range(start, plan.epochs):
        for number, batch in enumerate(_batches(training, plan.seed + epoch)):
            labels, weights = _labels(batch), torch.from_numpy(_shares(batch))
            known = ~labels.isnan()
            losses = functional.binary_cross_entropy_with_logits(
                head.logits(batch)[known], labels[known], reduction="none"
            )
            optimizer.zero_grad()
            ((losses * weights[known]).sum() / len(batch)).backward()
            torch.nn.utils.clip_grad_norm_(others, 1.0)
            optimizer.step()
            schedule.step()
            progress((epoch * batches + number + 1) / total)
        area = _area(head.rewards(held_out), held_out)
        if area > max(areas):
            best = _weights(head)
        areas = [*areas, area]
        state = {
            "made_of": made_of,
            "epoch": epoch + 1,
            "weights": _weights(head),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
            "best": best,
            "areas": areas,
        }
        content = io.BytesIO()  # a full disk is no OSError where torch writes the file
        torch.save(state, content)
        write_atomically(checkpoint, content.getvalue())
    _put(head, best)
    return areas


def _calibrated(head: Head, held_out: Sequence[SolutionStates], areas: Sequence[float]) -> Fit:
    """Platt's scaling: a straight line through the logits, fitted by logistic regression on the problems held out."""
    logits = head.rewards(held_out)
    labels, weights = _doubled(held_out)
    line = LogisticRegression(C=1e6).fit(np.concatenate([logits, logits])[:, None], labels, sample_weight=weights)
    slope, intercept = float(line.coef_[0, 0]), float(line.intercept_[0])
    if slope < LEAST_SLOPE:
        slope, intercept = LEAST_SLOPE, log_odds(float(np.average(labels, weights=weights)))
    bias = float(head.bias.detach())
    ends = np.cumsum([len(reading.labels) for reading in held_out]) - 1
    correct = [reading.correct for reading in held_out]
    return Fit(
        scale=head.scale.detach().numpy() * slope,
        centre=-(slope * bias + intercept),
        curve=fit_curve(slope * logits + intercept, held_out),
        updates={
            name: (change.down.detach().numpy(), change.up.detach().numpy()) for name, change in head.changes.items()
        },
        figures={
            "held-out problems": len({reading.problem for reading in held_out}),
            "AUC of steps": round(_area(logits, held_out), 3),
            "AUC of steps, linear reading alone and behind each epoch": [round(area, 3) for area in areas],
            "AUC of the last step": round(area_under_roc(logits[ends].tolist(), correct), 3),
        },
    )


def fit_curve(values: np.ndarray, states: Sequence[SolutionStates]) -> StepCalibration | None:
    """Of a step's reward, from the trained reward's log-odds, `values`, and the draft's surprisal."""
    surprisals = [reading.surprisals for reading in states if reading.surprisals is not None]
    correct = np.array([reading.correct for reading in states])
    if len(surprisals) < len(states) or not enough(correct):
        return None
    features = np.stack([values, np.log1p(torch.cat(surprisals).numpy())], axis=1)
    owner = np.repeat(np.arange(len(states)), [len(reading.labels) for reading in states])
    intercept, value, surprisal = fit_steps(features, owner, correct)
    return StepCalibration(intercept=intercept, value=value, surprisal=-surprisal)


def _fingerprint(plan: Plan, states: Sequence[SolutionStates]) -> str:
    """Of what a checkpoint was made: the plan, and which states with which labels, in their order."""
    digest = hashlib.sha256(repr(plan).encode())
    for reading in states:
        digest.update(f"{reading.problem} {reading.ends.tolist()} {reading.labels.tolist()}".encode())
    return digest.hexdigest()


def _doubled(states: Sequence[SolutionStates]) -> tuple[np.ndarray, np.ndarray]:
    """Each step once as right and once as wrong, with its label as the weight; a solution counts once in all.

    A step of unknown label weighs nothing.
    """
    labels, share = np.nan_to_num(_labels(states).numpy()), _shares(states)
    return np.repeat([1, 0], len(labels)), np.concatenate([labels * share, (1 - labels) * share])


def _shares(states: Sequence[SolutionStates]) -> np.ndarray:
    """What each step weighs: the steps of known label share their solution's weight."""
    known = [~reading.labels.isnan().numpy() for reading in states]
    return np.concatenate([each / max(1, each.sum()) for each in known]).astype(np.float32)


def _labels(states: Sequence[SolutionStates]) -> Tensor:
    """Of every step of the states, one after another; of no states, none."""
    return torch.cat([torch.zeros(0), *(reading.labels for reading in states)])


def _area(logits: np.ndarray, states: Sequence[SolutionStates]) -> float:
    labels = _labels(states).numpy()
    known = ~np.isnan(labels)
    return area_under_roc(logits[known].tolist(), (labels[known] > HALF).tolist())


def _batches(states: Sequence[SolutionStates], seed: int) -> list[list[SolutionStates]]:
    """Batches of solutions of like length, in random order."""
    generator = random.Random(seed)  # noqa: S311  # repeatable, not secret
    order = sorted(states, key=lambda reading: (len(reading.states) // 64, generator.random()))
    batches = [list(order[at : at + BATCH]) for at in range(0, len(order), BATCH)]
    generator.shuffle(batches)
    return batches


def _weights(head: Head) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in head.parameters()]


def _put(head: Head, weights: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for parameter, weight in zip(head.parameters(), weights, strict=True):
            parameter.copy_(weight)
