"""Solutions to train on, and the rewards of others."""

import asyncio
import random
from pathlib import Path

import numpy as np
import torch
from langchain_core.messages import HumanMessage

from rsd_graph import Generation, Step
from rsd_graph.data.solutions import Solution
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp
from rsd_graph.models.llamacpp_scorer import LlamaCppScorer
from rsd_graph.protocols import ScoringBackend
from rsd_graph.rewards.prm import ProcessReward
from rsd_graph.rewards.trained.file import RewardFile
from rsd_graph.training.hidden_states import SolutionStates


def some_solutions(count: int) -> list[Solution]:
    """Sums; the wrong ones say so in their words, which a reward can learn."""
    generator = random.Random(0)
    solutions = []
    for number in range(count):
        one, other = generator.randint(2, 99), generator.randint(2, 99)
        right = generator.random() < 0.5
        steps = [f"We add {one} and {other}.", f"That {'makes' if right else 'is not'} \\boxed{{{one + other}}}."]
        solutions.append(
            Solution(f"{number}: {one} + {other}?", tuple(Generation(step, "delimiter") for step in steps), right)
        )
    return solutions


def states_of(problem: str, labels: torch.Tensor, *, correct: bool = False) -> SolutionStates:
    """A solution of one token per step, with hidden states of zeros."""
    steps = len(labels)
    return SolutionStates(problem, torch.zeros(steps, 4), torch.arange(steps), labels, correct)


def llamacpp(file: Path) -> LlamaCppScorer:
    """The model in this process, for one problem at a time."""
    return LlamaCppScorer(EmbeddedLlamaCpp(file, slots=1, context=2048))


def rewards(backend: ScoringBackend, reward: RewardFile, solutions: list[Solution]) -> np.ndarray:
    """The rewards of both steps of each solution; the backend is closed."""

    async def score() -> list[float]:
        model = ProcessReward(reward.card.score(), backend)
        found = []
        for solution in solutions:
            first, second = solution.steps
            found += await model.score([HumanMessage(solution.problem)], [], [first])
            found += await model.score([HumanMessage(solution.problem)], [Step(first.text, "draft")], [second])
        await model.aclose()
        return [each.reward for each in found]

    return np.array(asyncio.run(score()))
