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

from rsd_graph._internal import background
from rsd_graph.control_tokens import neutralize
from rsd_graph.data.cut_steps import group_cut_steps
from rsd_graph.errors import RewardError
from rsd_graph.models.logprobs import checked_logprob
from rsd_graph.protocols import Reading, ScoringBackend
from rsd_graph.rewards.family import ScoreLastStep
from rsd_graph.rewards.pieces import reads_text
from rsd_graph.state import Generation, Score, Step


class ProcessReward:
    """A process reward model as the graph's reward.

    Args:
        score_last_step: How the model's authors score; `families.score_last_step` gives it by kind.
        backend: Where the model runs.
        parameters: Number of the model's parameters, for the FLOPs count; unknown by default.
        neutralize_control_tokens: Whether text that a tokenizer would read as a control token is kept from becoming
            one; see `control_tokens`.
    """

    needs_logprobs = False
    """It reads the steps' texts; see `protocols.needs_logprobs`."""

    def __init__(
        self,
        score_last_step: ScoreLastStep,
        backend: ScoringBackend,
        *,
        parameters: float | None = None,
        neutralize_control_tokens: bool = True,
    ) -> None:
        self.backend = backend
        self.parameters = parameters
        # a family asks its backend many times a step: one change of the loop is enough for all
        self._is_on_background_loop = getattr(backend, "runs_on_background_loop", False)
        self._score_last_step = score_last_step
        self._checked = _CheckedReadings(backend)
        self._clean = neutralize if neutralize_control_tokens else str

    @property
    def name(self) -> str:
        """What to call it in messages and tables."""
        return self.backend.name

    async def score(
        self, messages: Sequence[BaseMessage], steps: Sequence[Step], candidates: Sequence[Generation]
    ) -> list[Score]:
        """See `RewardModel.score`."""
        scoring = self._scores(messages, steps, candidates)
        return await (background.call(scoring) if self._is_on_background_loop else scoring)

    async def _scores(
        self, messages: Sequence[BaseMessage], steps: Sequence[Step], candidates: Sequence[Generation]
    ) -> list[Score]:
        problem = self._clean(problem_text(messages))
        return await asyncio.gather(
            *(
                self._score_last_step(self._checked, problem, [self._clean(text) for text in step_texts(steps, each)])
                for each in candidates
            )
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

    async def joined(self, pieces: Sequence[str]) -> str | None:
        return await self._backend.joined(pieces) if reads_text(self._backend) else None

    async def head_after(self, text: str) -> Reading:
        assert reads_text(self._backend)  # noqa: S101  # it has joined the text
        return self._finite(await self._backend.head_after(text))

    async def head(self, tokens: Sequence[int]) -> Reading:
        return self._finite(await self._backend.head(tokens))

    def _finite(self, reading: Reading) -> Reading:
        for value in reading.values:
            if not math.isfinite(value):
                raise RewardError(f"{self.name} gave the logit {value!r}, expected a finite number")
        return reading

    async def label_logprobs(self, tokens: Sequence[int], labels: Sequence[int]) -> Reading:
        reading = await self._backend.label_logprobs(tokens, labels)
        return Reading(tuple(checked_logprob(each, self.name, RewardError) for each in reading.values), reading.usage)


def problem_text(messages: Sequence[BaseMessage]) -> str:
    """The problem as a reward model sees it: with the conversation before it, if there is one.

    "And if she buys 5?" means nothing alone. System messages are instructions to the models that write, and left out.
    """
    *history, problem = (message for message in messages if message.type != "system")
    if not history:
        return problem.text
    speakers = {"human": "User", "ai": "Assistant"}
    turns = [f"{speakers.get(message.type, message.type.title())}: {message.text}" for message in [*history, problem]]
    return "\n\n".join(turns)


def step_texts(steps: Sequence[Step], candidate: Generation) -> list[str]:
    """The steps as a reward model sees them: one that a token limit cut is one with what continues it."""
    everything: list[Step | Generation] = [*steps, candidate]
    return ["".join(part.text for part in parts) for parts in group_cut_steps(everything)]
