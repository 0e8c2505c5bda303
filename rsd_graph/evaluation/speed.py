"""How fast a model really is, here and now: what the roofline's predictions are checked against."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from math import inf

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

    best = Measured(inf, inf, inf)
    for prompts in _fresh(batch, rounds):
        reading, call, begun = await _read(ask, prompts, model.name)
        writing = await _write(ask, prompts, begun, model.name)
        best = Measured(min(best.reading, reading), min(best.writing, writing), min(best.call, call))
    if batch == 1:
        return best
    (prompts,) = _fresh(1, 1)
    begun, _ = await _timed(ask, prompts, 1)
    return replace(best, alone=await _write(ask, prompts, begun, model.name), batch=batch)


async def measure_reward(reward: RewardModel, batch: int, rounds: int = 2) -> Measured | None:
    """The same of a reward model, which writes nothing; None if it has no model of its own.

    Raises:
        ModelError: it does not answer.
        RewardError: it gives no reward.
    """

    async def ask(step: str, _: int) -> TokenUsage:
        proposal = Generation(step, "delimiter", TokenUsage(0, 0, READ), logprobs=(0.0,) * READ)
        question = conversation(RSDSettings(), "What do these numbers tell?")
        (score,) = await reward.score(question, [], [proposal])
        return score.usage

    if not (await ask(_prompt(-1), 1)).prompt:
        return None
    best = Measured(inf, 0.0, inf)
    for steps in _fresh(batch, rounds):
        reading, call, _ = await _read(ask, steps, reward.name)
        best = Measured(min(best.reading, reading), 0.0, min(best.call, call))
    return best


Ask = Callable[[str, int], Awaitable[TokenUsage]]
"""Has a model read this prompt and write so many tokens; returns what it took."""


async def _read(ask: Ask, prompts: list[str], name: str) -> tuple[float, float, float]:
    """Seconds a token read, of a request beside it, and of a request whose prompt is in the cache.

    Without a cache the second is 0, because it cannot be told from the first.
    """
    first, fresh = await _timed(ask, prompts, 1)
    again, known = await _timed(ask, prompts, 1)
    unread, still = (sum(each.prompt - each.cached for each in usages) / len(usages) for usages in (fresh, known))
    if unread <= 0:
        raise ModelError(f"{name} reports no prompt tokens: its speed cannot be measured")
    if still > unread / 2:
        return first / unread, 0.0, again
    reading = max(first - again, 0.0) / (unread - still)
    return reading, max(again - still * reading, 0.0), again


async def _write(ask: Ask, prompts: list[str], begun: float, name: str) -> float:
    """Seconds a token written, after the first, which took `begun`: the pass that reads the prompt writes it."""
    seconds, wrote = await _timed(ask, prompts, WRITTEN)
    longest = max(each.completion for each in wrote)
    if longest < WRITTEN / 4:
        raise ModelError(f"{name} wrote {longest} tokens at most to {len(prompts)} prompts: too few to measure")
    return max(seconds - begun, 0.0) / (longest - 1)


def _fresh(batch: int, rounds: int) -> Iterator[list[str]]:
    """The prompts of each round."""
    return ([_prompt(number * batch + each) for each in range(batch)] for number in range(rounds))


def _prompt(number: int) -> str:
    """A text that no prompt cache holds, from its start on, and that asks for a long answer: see `BEGUN`."""
    words = " ".join(str((number * 7919 + 31 * index) % 997) for index in range(READ // 4))
    return f"Text {number}: {words}. Forget these numbers, and count from 1 to 1000."


async def _timed(ask: Ask, prompts: list[str], tokens: int) -> tuple[float, list[TokenUsage]]:
    started = time.perf_counter()
    answers = await asyncio.gather(*(ask(prompt, tokens) for prompt in prompts))
    return time.perf_counter() - started, answers
