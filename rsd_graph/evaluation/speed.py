"""How fast a model really is, here and now: what the roofline's predictions are checked against."""

import asyncio
import time
from dataclasses import dataclass

from rsd_graph.errors import ModelError
from rsd_graph.next_step import conversation
from rsd_graph.protocols import StepGenerator
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Generation, TokenUsage
from rsd_graph.strategies.whole import NEVER

READ, WRITTEN = 128, 32
"""Tokens, about, of each measurement."""


@dataclass(frozen=True, slots=True)
class Measured:
    """See `roofline.Speed`. Several candidates at once take as long as one after the other."""

    reading: float
    """Seconds a token."""
    writing: float
    """Seconds a token."""

    def read(self, tokens: float) -> float:
        """Seconds to read so many tokens."""
        return tokens * self.reading

    def write(self, tokens: float, candidates: int = 1) -> float:
        """Seconds to write so many tokens in each candidate."""
        return tokens * candidates * self.writing


async def measure(model: StepGenerator, batch: int, rounds: int = 2) -> Measured:
    """Measure a model while so many prompts are read and answered at once; the best of several rounds counts.

    Args:
        model: Started, and otherwise idle.
        batch: Prompts at once.
        rounds: How often.

    Raises:
        ModelError: it does not answer, or ends at once whatever it is asked.
    """
    reading, writing = [], []
    for number in range(rounds):
        prompts = [_prompt(number * batch + each) for each in range(batch)]
        seconds, read = await _timed(model, prompts, tokens=1)
        computed = read.prompt - read.cached
        if computed <= 0:
            raise ModelError(f"{model.name} reports no prompt tokens: its speed cannot be measured")
        reading.append(seconds / (computed / batch))
        seconds, wrote = await _timed(model, prompts, tokens=WRITTEN)
        seconds -= reading[-1] * (wrote.prompt - wrote.cached) / batch
        if wrote.completion < batch * WRITTEN / 4:
            raise ModelError(f"{model.name} wrote {wrote.completion} tokens to {batch} prompts: too few to measure")
        writing.append(seconds / (wrote.completion / batch))
    return Measured(min(reading), max(min(writing), 0.0))


def _prompt(number: int) -> str:
    """A text that no prompt cache holds, from its start on, and that asks for a long answer."""
    words = " ".join(str((number * 7919 + 31 * index) % 997) for index in range(READ // 4))
    return f"Text {number}: {words}. Tell the story of these numbers, at length."


async def _timed(model: StepGenerator, prompts: list[str], tokens: int) -> tuple[float, TokenUsage]:
    settings = RSDSettings(delimiter=NEVER, max_step_tokens=tokens, system_prompt="")

    async def ask(prompt: str) -> Generation:
        (answer,) = await model.generate(conversation(settings, prompt), "", settings=settings)
        return answer

    started = time.perf_counter()
    answers = await asyncio.gather(*map(ask, prompts))
    seconds = time.perf_counter() - started
    return seconds, sum((answer.usage for answer in answers), TokenUsage())
