"""Models that write steps. Each backend is a module of its own, imported only when it is used."""

from collections.abc import Sequence
from typing import Protocol

from langchain_core.messages import BaseMessage

from rsd_graph.settings import RSDSettings
from rsd_graph.state import Generation


class StepGenerator(Protocol):
    """Continues a partial response by one step."""

    @property
    def name(self) -> str:
        """What to call it in messages and tables."""
        ...

    async def generate(
        self, messages: Sequence[BaseMessage], response: str, *, settings: RSDSettings, n: int = 1
    ) -> list[Generation]:
        """Propose the next step `n` times.

        Args:
            messages: The conversation that the response answers; its last message is the problem.
            response: The response so far, exactly: every kept step followed by the delimiter, or empty. The model must
                see its own chat template's rendering of `messages` followed by these characters, none trimmed.
            settings: Of this call: `max_step_tokens` is what this step may take, `seed` is this step's own.
            n: How many independent candidates to return.

        Returns:
            `n` generations, each up to the delimiter, the end of text or `settings.max_step_tokens`.

        Raises:
            ContextOverflowError: `messages` and `response` do not fit the model's context.
            ModelError: the model could not answer.
        """
        ...
