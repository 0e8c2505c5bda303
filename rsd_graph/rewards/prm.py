"""Process reward models: how one is asked, and where it runs.

A *recipe* knows how a model's authors score: prompt layout, step marker, where the reward is read, activation. One file
each: `skywork`, `qwen_prm`, `math_shepherd`, `rlhflow`, `outcome`, `judge`, `trained`. An *engine* computes:
`rewards.vllm` on a server; `rewards.transformers`, `rewards.llamacpp` and `models.offline` (vLLM) in this process.

    reward = ProcessReward(skywork, VLLMScorer("http://127.0.0.1:8002"))

RSD needs the newest step's reward and no other (arXiv 2501.19324, algorithm 1). All models here are causal, so that the
prompt can end where that reward is read: what comes behind cannot change it, and what stands before it is found in a
server's prefix cache. A step costs its own tokens, however long the answer has grown.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from rsd_graph.data.cut_steps import group_cut_steps
from rsd_graph.protocols import ScoringBackend
from rsd_graph.state import Generation, Score, Step

Recipe = Callable[[ScoringBackend, str, Sequence[str]], Coroutine[Any, Any, Score]]
"""Scores the last of some steps: (engine, problem, steps' texts) -> score."""


class ProcessReward:
    """A process reward model as the graph's reward.

    Args:
        recipe: How the model's authors score.
        engine: Where it runs.
        parameters: Number of the model's parameters, for the FLOPs count; unknown by default.
    """

    def __init__(self, recipe: Recipe, engine: ScoringBackend, *, parameters: float | None = None) -> None:
        self.engine = engine
        self.parameters = parameters
        self._recipe = recipe

    @property
    def name(self) -> str:
        """What to call it in messages and tables."""
        return self.engine.name

    async def score(
        self, messages: Sequence[BaseMessage], steps: Sequence[Step], candidates: Sequence[Generation]
    ) -> list[Score]:
        """See `RewardModel.score`."""
        problem = messages[-1].text
        return await asyncio.gather(
            *(self._recipe(self.engine, problem, step_texts(steps, candidate)) for candidate in candidates)
        )

    async def aclose(self) -> None:
        """Close the engine."""
        await self.engine.aclose()


def step_texts(steps: Sequence[Step], candidate: Generation) -> list[str]:
    """The steps as a reward model sees them: one that a token limit cut is one with what continues it."""
    everything: list[Step | Generation] = [*steps, candidate]
    return ["".join(part.text for part in parts) for parts in group_cut_steps(everything)]
