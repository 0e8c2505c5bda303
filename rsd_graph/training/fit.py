"""Fit a reward to hidden states: split the problems, train the probe and LoRA, calibrate.

Calibration is done on problems held out: Platt's scaling of the logits, and a curve that combines them with the draft's
surprisal.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from rsd_graph._internal.progress import Progress, silent
from rsd_graph.errors import ConfigurationError
from rsd_graph.evaluation.calibration import enough, fit_steps
from rsd_graph.evaluation.metrics import area_under_roc
from rsd_graph.rewards.combined import StepCalibration, log_odds
from rsd_graph.training.backbone import Backbone
from rsd_graph.training.hidden_states import SolutionStates
from rsd_graph.training.lora import LowRank, add_low_rank, descend
from rsd_graph.training.options import Hyperparameters
from rsd_graph.training.probe import Probe
from rsd_graph.training.step_labels import HALF, as_right_and_wrong, step_area, step_labels

PROBLEMS, STEPS = 10, 5
"""Fewest problems, and fewest right and fewest wrong steps, to train on and to calibrate on."""
LEAST_SLOPE = 1e-3
"""Of Platt's line: the calibration of a useless reward must not reverse it."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A trained and calibrated reward, in numbers."""

    scale: np.ndarray
    """Scale of the final norm, shape (hidden size,)."""
    centre: float
    """The logit at which the reward is 0.5."""
    updates: dict[str, tuple[np.ndarray, np.ndarray]]
    """Low-rank changes by weight, as `RewardFile.updates`."""
    curve: StepCalibration | None
    """Combines the reward with the draft's surprisal; None if there was too little to fit it to."""
    figures: dict[str, Any]
    """How well it did on the held-out problems."""


def split(
    solutions: Sequence[SolutionStates], share: float, seed: int
) -> tuple[list[SolutionStates], list[SolutionStates]]:
    """A part to train on and one to hold out; all solutions of one problem stay together.

    Raises:
        ConfigurationError: one part is too small, or has only right or only wrong steps.
    """
    problems = sorted({solution.problem for solution in solutions})
    random.Random(seed).shuffle(problems)  # noqa: S311  # repeatable, not secret
    held = set(problems[: max(1, round(len(problems) * share))])
    training = [solution for solution in solutions if solution.problem not in held]
    held_out = [solution for solution in solutions if solution.problem in held]
    _require_enough(training, "train on")
    _require_enough(held_out, "calibrate on")
    return training, held_out


def _require_enough(solutions: Sequence[SolutionStates], purpose: str) -> None:
    labels = step_labels(solutions)
    labels = labels[~labels.isnan()]
    right = int((labels > HALF).sum())
    wrong = len(labels) - right
    count = len({solution.problem for solution in solutions})
    if min(right, wrong) < STEPS or count < PROBLEMS:
        raise ConfigurationError(
            f"too little to {purpose}: {count} problems with {right} right and {wrong} wrong steps; at least "
            f"{PROBLEMS} problems, {STEPS} right and {STEPS} wrong steps are needed. Sample more problems (a larger "
            "--limit keeps these), or problems of which the draft solves some and not others"
        )


def fit(
    backbone: Backbone,
    training: Sequence[SolutionStates],
    held_out: Sequence[SolutionStates],
    chosen: Hyperparameters,
    checkpoint: Path,
    progress: Progress = silent,
) -> Fit:
    """Train and calibrate.

    Args:
        backbone: The draft that computed the hidden states. LoRA changes it.
        training: What to learn from.
        held_out: What to choose and calibrate by.
        chosen: How to train.
        checkpoint: Where every epoch is kept. A run with the same hyperparameters on the same data resumes from it.
        progress: Told which part of the training is done.
    """
    torch.manual_seed(chosen.seed)
    changes = add_low_rank(backbone, chosen.first, chosen.last, chosen.rank)
    probe = Probe(backbone, chosen.first, chosen.last)
    progress("training", 0, 1)
    areas = [probe.fit(training, held_out)]
    if changes:
        areas = descend(probe, changes, training, held_out, chosen, areas[0], checkpoint, progress)
    progress("training", 1, 1)
    return _calibrated(probe, changes, held_out, areas)


def _calibrated(
    probe: Probe, changes: Mapping[str, LowRank], held_out: Sequence[SolutionStates], areas: Sequence[float]
) -> Fit:
    logits = probe.all_logits(held_out)
    slope, intercept = _platt(logits, held_out)
    return Fit(
        scale=probe.scale.detach().numpy() * slope,
        centre=-(slope * float(probe.bias.detach()) + intercept),
        updates={name: (change.down.detach().numpy(), change.up.detach().numpy()) for name, change in changes.items()},
        curve=fit_curve(slope * logits + intercept, held_out),
        figures=_figures(logits, held_out, areas),
    )


def _platt(logits: np.ndarray, held_out: Sequence[SolutionStates]) -> tuple[float, float]:
    """Slope and intercept of Platt's scaling: a logistic regression on the logit alone."""
    classes, weights = as_right_and_wrong(held_out)
    line = LogisticRegression(C=1e6).fit(np.concatenate([logits, logits])[:, None], classes, sample_weight=weights)
    slope, intercept = float(line.coef_[0, 0]), float(line.intercept_[0])
    if slope < LEAST_SLOPE:
        return LEAST_SLOPE, log_odds(float(np.average(classes, weights=weights)))
    return slope, intercept


def _figures(logits: np.ndarray, held_out: Sequence[SolutionStates], areas: Sequence[float]) -> dict[str, Any]:
    ends = np.cumsum([len(solution.labels) for solution in held_out]) - 1
    correct = [solution.correct for solution in held_out]
    return {
        "held-out problems": len({solution.problem for solution in held_out}),
        "AUC of steps": round(step_area(logits, held_out), 3),
        "AUC of steps, linear probe alone and after each epoch": [round(area, 3) for area in areas],
        "AUC of the last step": round(area_under_roc(logits[ends].tolist(), correct), 3),
    }


def fit_curve(values: np.ndarray, solutions: Sequence[SolutionStates]) -> StepCalibration | None:
    """A step's reward from the trained reward's log-odds and the draft's surprisal.

    Args:
        values: Log-odds of all steps, in order, shape (steps,).
        solutions: Theirs.

    Returns:
        None if a solution was recorded without log-probabilities, or there are too few right or wrong ones.
    """
    surprisals = [solution.surprisals for solution in solutions if solution.surprisals is not None]
    correct = np.array([solution.correct for solution in solutions])
    if len(surprisals) < len(solutions) or not enough(correct):
        return None
    features = np.stack([values, np.log1p(torch.cat(surprisals).numpy())], axis=1)
    owner = np.repeat(np.arange(len(solutions)), [len(solution.labels) for solution in solutions])
    intercept, value, surprisal = fit_steps(features, owner, correct)
    return StepCalibration(intercept=intercept, value=value, surprisal=-surprisal)
