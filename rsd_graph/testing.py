"""Scripted models: they run the graph in tests, and in examples without weights."""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from langchain_core.messages import BaseMessage

from rsd_graph.settings import RSDSettings
from rsd_graph.state import Generation, Score, Step
from rsd_graph.text_sink import text_sink

Script = (
    Mapping[str, Generation]
    | Sequence[Generation | Exception]
    | Sequence[Generation]
    | Callable[[Sequence[BaseMessage], str, RSDSettings], Generation]
)


class ScriptedModel:
    """A step generator that returns what its script says.

    Args:
        script: A mapping from the response so far to a generation; or a sequence of generations to return one after
            another, the last of them forever; or a function of (messages, response, settings). An exception in the
            sequence is raised instead of returned.
        name: The model's name.
        streams: Whether it writes word by word, and lets those see it who see a target's text as it comes.
    """

    def __init__(self, script: Script, name: str = "scripted", *, streams: bool = False) -> None:
        self.name = name
        self._streams = streams
        self.calls: list[tuple[list[BaseMessage], str, RSDSettings]] = []
        """Every call so far: its messages, response and settings."""
        self._script = script

    async def generate(
        self, messages: Sequence[BaseMessage], response: str, *, settings: RSDSettings, n: int = 1
    ) -> list[Generation]:
        """See `StepGenerator.generate`."""
        said = [self._next(messages, response, settings) for _ in range(n)]
        if self._streams and len(said) == 1:
            await _write(said[0].text)
        return said

    def _next(self, messages: Sequence[BaseMessage], response: str, settings: RSDSettings) -> Generation:
        self.calls.append((list(messages), response, settings))
        if callable(self._script):
            return self._script(messages, response, settings)
        if isinstance(self._script, Mapping):
            return self._script[response]
        said = self._script[min(len(self.calls), len(self._script)) - 1]
        if isinstance(said, Exception):
            raise said
        return said


async def _write(text: str) -> None:
    sink = text_sink()
    if sink is None:
        return
    for word in re.finditer(r"\S+\s*", text):
        sink(text[: word.end()])
        await asyncio.sleep(0)


class ScriptedReward:
    """A reward model that returns what its script says.

    Args:
        rewards: Rewards to return one after another, the last of them forever; an exception among them is raised
            instead of returned. Or a function of (steps, candidate).
        name: The reward model's name.
    """

    def __init__(
        self,
        rewards: Iterable[float | Exception] | Callable[[Sequence[Step], Generation], float],
        name: str = "scripted",
    ) -> None:
        self.name = name
        self._rewards = rewards if callable(rewards) else list(rewards)
        self._given = 0

    async def score(
        self,
        messages: Sequence[BaseMessage],  # noqa: ARG002  # of the protocol
        steps: Sequence[Step],
        candidates: Sequence[Generation],
    ) -> list[Score]:
        """See `RewardModel.score`."""
        return [Score(self._next(steps, candidate)) for candidate in candidates]

    def _next(self, steps: Sequence[Step], candidate: Generation) -> float:
        if callable(self._rewards):
            return self._rewards(steps, candidate)
        self._given += 1
        reward = self._rewards[min(self._given, len(self._rewards)) - 1]
        if isinstance(reward, Exception):
            raise reward
        return reward
