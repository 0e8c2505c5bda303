"""A process reward model as the graph's reward.

The family of the model knows how its authors score (`rewards.families`: prompt layout, step marker, where the reward is
read, activation). A scoring backend computes: `models.vllm_scorer` on a server; `models.transformers_scorer`,
`models.llamacpp_scorer` and `models.vllm_engine` in this process. `process_reward` puts the two together for a server.

RSD needs the newest step's reward and no other (arXiv 2501.19324, algorithm 1). All models here are causal, so the
prompt can end where that reward is read: what follows cannot change it, and what precedes it is in the server's prefix
cache. A step costs its own tokens, however long the response has grown.
"""

import asyncio
import math
from collections.abc import Sequence

from langchain_core.messages import BaseMessage

from rsd_graph.errors import RewardError
from rsd_graph.models.logprobs import checked_logprob
from rsd_graph.protocols import Reading, ScoringBackend
from rsd_graph.rewards.family import ScoreLastStep
from rsd_graph.state import Generation, Score, Step


class ProcessReward:
    """A process reward model as the graph's reward.

    Args:
        score_last_step: How the model's authors score; `families.score_last_step` gives it by kind.
        backend: Where the model runs.
        parameters: Number of the model's parameters, for the FLOPs count; unknown by default.
    """

    def __init__(
        self, score_last_step: ScoreLastStep, backend: ScoringBackend, *, parameters: float | None = None
    ) -> None:
        self.backend = backend
        self.parameters = parameters
        self._score_last_step = score_last_step
        self._checked = _CheckedReadings(backend)

    @property
    def name(self) -> str:
        """What to call it in messages and tables."""
        return self.backend.name

    async def score(
        self, messages: Sequence[BaseMessage], steps: Sequence[Step], candidates: Sequence[Generation]
    ) -> list[Score]:
        """See `RewardModel.score`."""
        problem = messages[-1].text
        return await asyncio.gather(
            *(self._score_last_step(self._checked, problem, step_texts(steps, candidate)) for candidate in candidates)
        )

    async def start(self) -> None:
        """Start the backend."""
        await self.backend.start()

    async def aclose(self) -> None:
        """Close the backend."""
        await self.backend.aclose()


class _CheckedReadings:
    """A backend whose readings are numbers: a sigmoid would make 1 of an infinite logit."""

    def __init__(self, backend: ScoringBackend) -> None:
        self._backend = backend
        self.start, self.aclose = backend.start, backend.aclose
        self.encode, self.chat = backend.encode, backend.chat

    @property
    def name(self) -> str:
        return self._backend.name

    async def head(self, tokens: Sequence[int]) -> Reading:
        reading = await self._backend.head(tokens)
        for value in reading.values:
            if not math.isfinite(value):
                raise RewardError(f"{self.name} gave the logit {value!r}, expected a finite number")
        return reading

    async def label_logprobs(self, tokens: Sequence[int], labels: Sequence[int]) -> Reading:
        reading = await self._backend.label_logprobs(tokens, labels)
        return Reading(tuple(checked_logprob(each, self.name, RewardError) for each in reading.values), reading.usage)


def step_texts(steps: Sequence[Step], candidate: Generation) -> list[str]:
    """The steps as a reward model sees them: one that a token limit cut is joined with its continuation."""
    texts: list[str] = []
    cut = False
    everything: list[Step | Generation] = [*steps, candidate]
    for each in everything:
        if cut:
            texts[-1] += each.text
        else:
            texts.append(each.text)
        cut = each.finish == "length"
    return texts
