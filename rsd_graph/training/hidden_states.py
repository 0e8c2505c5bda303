"""Hidden states of the backbone at every token of a solution, kept on disk, one file per solution."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rsd_graph._internal.files import atomic_path
from rsd_graph._internal.progress import Progress, silent
from rsd_graph.data.solutions import Solution
from rsd_graph.errors import WeightsError
from rsd_graph.rewards.confidence import surprisal
from rsd_graph.rewards.families.trained import DELIMITER
from rsd_graph.training.backbone import Backbone
from rsd_graph.training.labels import Labels


@dataclass(frozen=True, slots=True)
class SolutionStates:
    """One solution, ready to train on."""

    problem: str
    hidden: Tensor
    """Hidden states in float16, shape (tokens, hidden size): of the conversation and the response."""
    ends: Tensor
    """Index of each step's last token, its delimiter's."""
    labels: Tensor
    """Per step: 1 right, 0 wrong, in between where it was sampled, NaN where it is not known."""
    correct: bool
    """Whether the final answer is right."""
    surprisals: Tensor | None = None
    """Per step, in nats; None where the solution was recorded without log-probabilities."""


def compute_hidden_states(
    backbone: Backbone,
    solutions: Sequence[Solution],
    labels: Sequence[Labels],
    layers: int,
    folder: Path,
    progress: Progress = silent,
) -> list[SolutionStates]:
    """Run the backbone over every solution that the folder does not hold yet.

    Args:
        backbone: The draft.
        solutions: What to run it over.
        labels: Of each solution's steps.
        layers: How many layers to run.
        folder: Holds one file per solution, named by its identity; it belongs to this draft and number of layers.
        progress: Told how many solutions are done.

    Raises:
        WeightsError: a file of the folder is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    computed = []
    for index, (solution, own_labels) in enumerate(zip(solutions, labels, strict=True)):
        progress("computing hidden states", index, len(solutions))
        tokens, ends = tokenized(backbone, solution)
        hidden = _kept_or_computed(folder / f"{solution.identity}.npy", backbone, tokens, layers)
        known = torch.tensor([math.nan if label is None else label for label in own_labels])
        computed.append(
            SolutionStates(solution.problem, hidden, torch.tensor(ends), known, solution.correct, _surprisals(solution))
        )
    progress("computing hidden states", len(solutions), len(solutions))
    return computed


def _kept_or_computed(file: Path, backbone: Backbone, tokens: Sequence[int], layers: int) -> Tensor:
    if file.exists():
        try:
            return torch.from_numpy(np.load(file))
        except (OSError, ValueError, EOFError) as error:
            raise WeightsError(f"{file} is damaged ({error}): delete it and rerun to compute it again") from error
    hidden = backbone.states(tokens, [layers])[0].to(torch.float16)
    with atomic_path(file) as unfinished, unfinished.open("wb") as out:
        np.save(out, hidden.numpy())
    return hidden


def _surprisals(solution: Solution) -> Tensor | None:
    if any(step.logprobs is None for step in solution.steps):
        return None
    return torch.tensor([surprisal(step) for step in solution.steps])


def tokenized(backbone: Backbone, solution: Solution) -> tuple[list[int], list[int]]:
    """Token ids of a solution as the reward sees it, and the index of each step's last token."""
    tokens = backbone.prompt(solution.problem)
    ends = []
    for step in solution.steps:
        tokens = tokens + backbone.encode(step.text + DELIMITER)
        ends.append(len(tokens) - 1)
    return tokens, ends
