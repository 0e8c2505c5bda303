"""How fast a model really is, here and now: what the roofline's predictions are checked against."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from math import inf
from uuid import uuid4

from rsd_graph.errors import ModelError
from rsd_graph.next_step import conversation
from rsd_graph.protocols import RewardModel, StepGenerator
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Generation, TokenUsage
from rsd_graph.strategies.whole import NEVER

READ, WRITTEN = 128, 32
"""Tokens, about, of each measurement."""
BEGUN = "Counting: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,"
"""Begins every answer. Small models end free texts early, each at another length, so that the batch would shrink while
it is measured; counting they go on with."""


@dataclass(frozen=True, slots=True)
class Measured:
    """See `roofline.Speed`. Several candidates at once take as long as one after the other."""

    reading: float
    """Seconds a token."""
    writing: float
    """Seconds a token."""
    call: float = 0.0
    """Seconds of a request beside these; 0 without a prompt cache, where it cannot be told from reading."""
    alone: float | None = None
    """Seconds a token while it writes for one problem; None if not measured, and taken to be the same."""
    batch: int = 1
    """Problems for which `writing` holds."""

    def read(self, tokens: float) -> float:
        """Seconds to read so many tokens."""
        return tokens * self.reading

    def write(self, tokens: float, candidates: int = 1, share: float = 1.0) -> float:
        """Seconds to write so many tokens in each candidate; between one problem and all, on a straight line."""
        if self.alone is None or self.batch == 1:
            return tokens * candidates * self.writing
        weight = max(self.batch * share - 1, 0) / (self.batch - 1)
        return tokens * candidates * (self.alone + weight * (self.writing - self.alone))


async def measure(model: StepGenerator, batch: int, rounds: int = 2) -> Measured:
    """Measure a model while so many prompts are read and answered at once; the best of several rounds counts.

    Args:
        model: Started, and otherwise idle.
        batch: Prompts at once.
        rounds: How often.

    Raises:
        ModelError: it does not answer, or ends at once whatever it is asked.
    """

    async def ask(prompt: str, tokens: int) -> TokenUsage:
        settings = RSDSettings(delimiter=NEVER, max_step_tokens=tokens, system_prompt="")
        (answer,) = await model.generate(conversation(settings, prompt), BEGUN, settings=settings)
        return answer.usage

    together = await _measured(ask, model.name, batch, rounds)
    if batch == 1:
        return together
    return replace(together, alone=(await _measured(ask, model.name, 1, rounds)).writing)


async def measure_reward(reward: RewardModel, batch: int, rounds: int = 2) -> Measured:
    """The same of a reward that has a model of its own; it writes nothing.

    Raises:
        ModelError: it does not answer, or reports no tokens.
        RewardError: it gives no reward.
    """

    async def ask(step: str, _: int) -> TokenUsage:
        proposal = Generation(step, "delimiter", TokenUsage(0, 0, READ), logprobs=(0.0,) * READ)
        question = conversation(RSDSettings(), "What do these numbers tell?")
        (score,) = await reward.score(question, [], [proposal])
        return score.usage

    return await _measured(ask, reward.name, batch, rounds, writes=False)


Ask = Callable[[str, int], Awaitable[TokenUsage]]
"""Has a model read this prompt and write so many tokens; returns what it took."""


async def _measured(ask: Ask, name: str, batch: int, rounds: int, *, writes: bool = True) -> Measured:
    """Prompts are read, asked again for one token, when they are in the cache, and then for several."""
    first = again = whole = inf
    unread = still = 0.0
    longest = WRITTEN
    for number in range(rounds):
        prompts = [_prompt(number * batch + each) for each in range(batch)]
        seconds, fresh = await _timed(ask, prompts, 1)
        first = min(first, seconds)
        seconds, known = await _timed(ask, prompts, 1)
        again = min(again, seconds)
        unread, still = (sum(each.prompt - each.cached for each in usages) / batch for usages in (fresh, known))
        if unread <= 0:
            raise ModelError(f"{name} reports no prompt tokens: its speed cannot be measured")
        if writes:
            seconds, wrote = await _timed(ask, prompts, WRITTEN)
            whole, longest = min(whole, seconds), max(each.completion for each in wrote)
            if longest < WRITTEN / 4:
                raise ModelError(f"{name} wrote {longest} tokens at most to {batch} prompts: too few to measure")
    cached = still < unread / 2
    reading = max(first - again, 0.0) / (unread - still) if cached else first / unread
    call = max(again - still * reading, 0.0) if cached else 0.0
    # the pass that reads the prompt writes the first token
    writing = max(whole - again, 0.0) / (longest - 1) if writes else 0.0
    return Measured(reading, writing, call, batch=batch)


def _prompt(number: int) -> str:
    """A text that no prompt cache holds, from its start on, and that asks for a long answer: see `BEGUN`."""
    words = " ".join(str((number * 7919 + 31 * index) % 997) for index in range(READ // 4))
    return f"Text {uuid4().hex[:8]}: {words}. Forget these numbers, and count from 1 to 1000."


async def _timed(ask: Ask, prompts: list[str], tokens: int) -> tuple[float, list[TokenUsage]]:
    started = time.perf_counter()
    answers = await asyncio.gather(*(ask(prompt, tokens) for prompt in prompts))
    return time.perf_counter() - started, answers
