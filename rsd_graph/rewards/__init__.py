"""Models that score steps. Each backend is a module of its own, imported only when it is used."""

from collections.abc import Sequence
from typing import Protocol

from langchain_core.messages import BaseMessage

from rsd_graph.state import Generation, Score, Step


class RewardModel(Protocol):
    """Scores candidate next steps: a process reward model (PRM)."""

    @property
    def name(self) -> str:
        """What to call it in messages and tables."""
        ...

    async def score(
        self, messages: Sequence[BaseMessage], steps: Sequence[Step], candidates: Sequence[Generation]
    ) -> list[Score]:
        """Score each candidate as the step that follows `steps`.

        Args:
            messages: The conversation that the response answers; its last message is the problem.
            steps: The steps kept so far.
            candidates: Alternatives for the next step.

        Returns:
            One score a candidate, in their order, each reward in [0, 1].

        Raises:
            RewardError: no reward could be read.
            ModelError: the reward model could not answer.
        """
        ...
