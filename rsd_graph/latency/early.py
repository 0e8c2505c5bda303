"""A model that is asked before its answer is needed."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Literal

from langchain_core.messages import BaseMessage

from rsd_graph.next_step import Request
from rsd_graph.protocols import StepGenerator
from rsd_graph.run_scope import RunScope, moment
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Generation, TokenUsage, Usage

FADING = 0.9
"""How much older answers count for the pace with every new one."""


class Pace:
    """How fast a model writes, as its answers have shown."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._tokens = 0.0

    def saw(self, seconds: float, tokens: int) -> None:
        """Note an answer."""
        self._seconds = FADING * self._seconds + seconds
        self._tokens = FADING * self._tokens + tokens

    def tokens_in(self, seconds: float) -> int:
        """About how many tokens it writes in this time; 0 as long as it has answered nothing."""
        return int(seconds * self._tokens / self._seconds) if self._seconds else 0


async def timed(model: StepGenerator, asked: Request, n: int, pace: Pace) -> list[Generation]:
    """The model's answer, from which the pace learns."""
    began = monotonic()
    generations = await model.generate(asked.messages, asked.response, settings=asked.settings, n=n)
    if n == 1:
        pace.saw(monotonic() - began, written(generations).completion)
    return generations


def written(generations: object) -> TokenUsage:
    """The tokens of an answer that has not been checked yet."""
    match generations:
        case [Generation() as generation]:
            return generation.usage
        case _:
            return TokenUsage()


class EarlyCall:
    """A call of a model that runs until somebody takes its answer or abandons it.

    Args:
        model: Is asked.
        role: Under which its tokens count.
        asked: What it is asked.
        read: About what it has to read: it counts where the call ends without an answer.
        pace: Of this model.
    """

    def __init__(
        self, model: StepGenerator, role: Literal["draft", "target"], asked: Request, read: TokenUsage, pace: Pace
    ) -> None:
        self.asked = asked
        self._role = role
        self._read = read
        self._pace = pace
        self._began: float | None = None
        self._task = asyncio.get_running_loop().create_task(self._ask(model))
        self._task.add_done_callback(_noticed)

    async def _ask(self, model: StepGenerator) -> list[Generation]:
        self._began = monotonic()
        return await timed(model, self.asked, 1, self._pace)

    @property
    def running(self) -> bool:
        """Whether there is no answer yet."""
        return not self._task.done()

    async def answer(self) -> list[Generation]:
        """What the model says, or raises. If the caller is cancelled, so is the call."""
        return await self._task

    async def ended(self) -> None:
        """Wait for the end of the call, whatever it is."""
        await asyncio.wait([self._task])

    def abandon(self) -> Usage:
        """End the call. Returns its tokens; those of a call that had no answer yet are estimated."""
        spent = self._spent()
        if self.running:
            _cancel(self._task)
        discarded = Usage(discarded=spent.completion)
        return discarded + (Usage(draft=spent) if self._role == "draft" else Usage(target=spent))

    def _spent(self) -> TokenUsage:
        if self._began is None:
            return TokenUsage()
        if self.running:
            tokens = min(self._pace.tokens_in(monotonic() - self._began), self.asked.settings.max_step_tokens)
            return TokenUsage(self._read.prompt, self._read.cached, tokens)
        failed = self._task.cancelled() or self._task.exception() is not None
        return TokenUsage() if failed else written(self._task.result())


async def answered(
    scope: RunScope | None, place: object, model: StepGenerator, asked: Request, n: int, pace: Pace
) -> list[Generation]:
    """The answer to this call: that of the early call at this place if it asked the same, else a new one."""
    early = scope.take(place) if scope else None
    if scope is None or not isinstance(early, EarlyCall):
        return await timed(model, asked, n, pace)
    if n == 1 and same(early.asked, asked):
        return await early.answer()
    scope.spend(early.abandon())  # it was for a step that was not kept
    return await timed(model, asked, n, pace)


@dataclass(frozen=True, slots=True, eq=False)
class Anticipated:
    """A model that may have been asked early; it also names the place of its early calls."""

    model: StepGenerator
    pace: Pace = field(default_factory=Pace)

    @property
    def name(self) -> str:
        """See `StepGenerator.name`."""
        return self.model.name

    async def generate(
        self, messages: Sequence[BaseMessage], response: str, *, settings: RSDSettings, n: int = 1
    ) -> list[Generation]:
        """See `StepGenerator.generate`."""
        now = moment()
        asked = Request(messages, response, settings)
        return await answered(now.scope if now else None, self, self.model, asked, n, self.pace)


def same(one: Request, other: Request) -> bool:
    """Whether both have the same answer."""
    return (one.response, one.settings, list(one.messages)) == (other.response, other.settings, list(other.messages))


def only(candidates: Sequence[Generation]) -> Generation | None:
    """The candidate, if there is exactly one."""
    match candidates:
        case [candidate]:
            return candidate
        case _:
            return None


def _noticed(task: asyncio.Task[list[Generation]]) -> None:
    """An error of a call that nobody needs is no news."""
    if not task.cancelled():
        task.exception()


def _cancel(task: asyncio.Task[list[Generation]]) -> None:
    """Cancel it from whichever thread: a run that is streamed without a loop ends in its reader's."""
    loop = task.get_loop()
    with suppress(RuntimeError):  # no loop runs here; or that of the task is closed, and has cancelled it
        if asyncio.get_running_loop() is loop:
            task.cancel()
            return
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(task.cancel)
