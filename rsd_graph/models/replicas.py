"""Several servers of one model, used as one.

A conversation stays with one server, whose prefix cache holds it; conversations are spread evenly. If a server does not
answer, the next one is asked; it is asked again when the others do not answer either.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b
from itertools import cycle
from typing import Generic, Protocol, TypeVar

from langchain_core.messages import BaseMessage

from rsd_graph.models.retries import Retrier, RetryPolicy
from rsd_graph.protocols import Lifecycle, RewardModel, StepGenerator, needs_logprobs
from rsd_graph.settings import RSDSettings
from rsd_graph.speculation import Speculator
from rsd_graph.state import Generation, Score, Step

T = TypeVar("T")


class ModelReplica(StepGenerator, Lifecycle, Protocol):
    """One server's client, as a step generator."""


class RewardReplica(RewardModel, Lifecycle, Protocol):
    """One server's client, as a reward model."""


M = TypeVar("M", bound=ModelReplica | RewardReplica)


class _Replicas(Generic[M]):
    def __init__(self, members: Sequence[M], *, retry: RetryPolicy | None = None) -> None:
        self._members = list(members)
        self._retrier = Retrier(retry)

    @property
    def name(self) -> str:
        return self._members[0].name

    async def start(self) -> None:
        """Start every member."""
        await asyncio.gather(*(member.start() for member in self._members))

    async def aclose(self) -> None:
        """Close every member."""
        await asyncio.gather(*(member.aclose() for member in self._members))

    async def _ask(self, messages: Sequence[BaseMessage], call: Callable[[M], Awaitable[T]]) -> T:
        order = cycle(self._in_order(messages))
        return await self._retrier.ask(lambda: call(next(order)), servers=len(self._members))

    def _in_order(self, messages: Sequence[BaseMessage]) -> list[M]:
        """The members, in this conversation's own order (rendezvous hashing)."""
        conversation = "\0".join(f"{message.type}:{message.text}" for message in messages)
        rank = [blake2b(f"{index}/{conversation}".encode()).digest() for index in range(len(self._members))]
        return [self._members[index] for index in sorted(range(len(rank)), key=rank.__getitem__)]


class ReplicatedModel(_Replicas[ModelReplica]):
    """Servers of one model as a step generator.

    Args:
        members: One client per server, made with `retry=NO_RETRY`.
        retry: How long to keep asking when none answers.
    """

    async def speculates(self) -> bool | None:
        """See `Speculator`. All servers have to."""
        told = await asyncio.gather(
            *(member.speculates() if isinstance(member, Speculator) else _unknown() for member in self._members)
        )
        return False if False in told else None if None in told else True

    async def generate(
        self, messages: Sequence[BaseMessage], response: str, *, settings: RSDSettings, n: int = 1
    ) -> list[Generation]:
        """See `StepGenerator.generate`."""
        return await self._ask(messages, lambda model: model.generate(messages, response, settings=settings, n=n))


async def _unknown() -> None:
    """A member that cannot be asked."""


class ReplicatedReward(_Replicas[RewardReplica]):
    """Servers of one reward model as one. Arguments as for `ReplicatedModel`."""

    @property
    def needs_logprobs(self) -> bool:
        """See `protocols.needs_logprobs`."""
        return any(needs_logprobs(member) for member in self._members)

    async def score(
        self, messages: Sequence[BaseMessage], steps: Sequence[Step], candidates: Sequence[Generation]
    ) -> list[Score]:
        """See `RewardModel.score`."""
        return await self._ask(messages, lambda reward: reward.score(messages, steps, candidates))
