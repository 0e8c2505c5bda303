"""Scripted models that take their time, so that calls overlap, and that notice when they are given up."""

import asyncio
from collections.abc import Callable, Sequence

from langchain_core.messages import BaseMessage

from rsd_graph import Generation, RSDSettings, Score, Step, TokenUsage

Say = Callable[[str, RSDSettings], Generation]


class SlowModel:
    """Says what its script says, after some turns of the loop, or when its gate opens."""

    def __init__(self, say: Say, turns: int = 3, name: str = "slow") -> None:
        self.name = name
        self.say = say
        self.turns = turns
        self.open: asyncio.Event | None = None
        """If set, answers wait for it."""
        self.asked: list[tuple[str, RSDSettings]] = []
        self.given_up: list[str] = []
        """Responses at which a call was cancelled."""
        self.running = 0

    async def generate(
        self,
        messages: Sequence[BaseMessage],  # noqa: ARG002  # of the protocol
        response: str,
        *,
        settings: RSDSettings,
        n: int = 1,
    ) -> list[Generation]:
        self.asked.append((response, settings))
        self.running += 1
        try:
            for _ in range(self.turns):
                await asyncio.sleep(0)
            if self.open:
                await self.open.wait()
        except asyncio.CancelledError:
            self.given_up.append(response)
            raise
        finally:
            self.running -= 1
        return [self.say(response, settings)] * n


class SlowReward:
    """Gives one reward after another, each after some turns of the loop."""

    def __init__(self, rewards: Sequence[float], turns: int = 5) -> None:
        self.name = "slow"
        self.rewards = list(rewards)
        self.turns = turns
        self.asked: list[str] = []
        self.before: Callable[[], None] = lambda: None
        """Called before each reward is given."""

    async def score(
        self,
        messages: Sequence[BaseMessage],  # noqa: ARG002  # of the protocol
        steps: Sequence[Step],  # noqa: ARG002
        candidates: Sequence[Generation],
    ) -> list[Score]:
        (candidate,) = candidates
        self.asked.append(candidate.text)
        for _ in range(self.turns):
            await asyncio.sleep(0)
        self.before()
        reward = self.rewards[min(len(self.asked), len(self.rewards)) - 1]
        return [Score(reward, TokenUsage(prompt=7, completion=1))]


def said(text: str, finish: str = "delimiter", tokens: int = 4, surprisal: float = 1.0) -> Generation:
    """A generation whose tokens are all as surprising as each other."""
    return Generation(
        text,
        finish,  # type: ignore[arg-type]
        TokenUsage(prompt=20, cached=10, completion=tokens),
        (-surprisal / tokens,) * tokens,
    )


def steps(author: str, last: int, surprisal: float = 1.0) -> Say:
    """A script that numbers its steps, and ends the text with number `last`."""

    def say(response: str, _: RSDSettings) -> Generation:
        index = response.count("\n\n")
        return said(f"{author}{index}", "eos" if index == last else "delimiter", surprisal=surprisal)

    return say
