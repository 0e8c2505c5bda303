"""Solutions as the backbone reads them: hidden states of every token, kept on disk, one file a solution."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rsd_graph.data.solutions import Solution
from rsd_graph.errors import WeightsError
from rsd_graph.rewards.confidence import surprisal
from rsd_graph.rewards.families.trained import DELIMITER
from rsd_graph.training.backbone import Backbone
from rsd_graph.training.labels import Labels


@dataclass(frozen=True, slots=True)
class SolutionStates:
    """One solution, read."""

    problem: str
    states: Tensor
    """Float16, shape (tokens, hidden size): of the response, and of the conversation before it."""
    ends: Tensor
    """Index of each step's last token, its delimiter's."""
    labels: Tensor
    """Of each step: 1 right, 0 wrong, in between where it was sampled, NaN where it is not known."""
    correct: bool
    """Whether the final answer is right."""
    surprisals: Tensor | None = None
    """Of each step, in nats; None where the solution was recorded without log-probabilities."""


def read(
    backbone: Backbone,
    solutions: Sequence[Solution],
    labels: Sequence[Labels],
    layers: int,
    folder: Path,
    progress: Callable[[int, int], None],
) -> list[SolutionStates]:
    """Read every solution that the folder does not hold yet.

    Args:
        backbone: The draft.
        solutions: What to read.
        labels: Of each solution's steps.
        layers: Layers to go through.
        folder: Holds a file a solution, named by its identity; it belongs to this draft and this number of layers.
        progress: Told how many are read, and how many there are.

    Raises:
        WeightsError: a file of the folder is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    read_so_far = []
    for index, (solution, own) in enumerate(zip(solutions, labels, strict=True)):
        progress(index, len(solutions))
        tokens, ends = tokenized(backbone, solution)
        file = folder / f"{solution.identity}.npy"
        if file.exists():
            try:
                states = torch.from_numpy(np.load(file))
            except (OSError, ValueError, EOFError) as error:
                raise WeightsError(f"{file} is damaged ({error}): delete it, and it is made again") from error
        else:
            states = backbone.states(tokens, [layers])[0].to(torch.float16)
            unfinished = file.with_suffix(".unfinished")
            with unfinished.open("wb") as out:
                np.save(out, states.numpy())
            unfinished.replace(file)
        known = torch.tensor([math.nan if label is None else label for label in own])
        read_so_far.append(
            SolutionStates(solution.problem, states, torch.tensor(ends), known, solution.correct, _surprisals(solution))
        )
    progress(len(solutions), len(solutions))
    return read_so_far


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
