import asyncio

import pytest

from rsd_graph import Generation, TokenUsage
from rsd_graph.errors import ModelError
from rsd_graph.evaluation.speed import measure
from rsd_graph.testing import ScriptedModel


class Timed(ScriptedModel):
    """A model that takes 1 ms for each token that it reads, and 10 ms for each that it writes."""

    async def generate(self, messages: object, response: str, *, settings: object, n: int = 1) -> list[Generation]:
        (answer,) = await super().generate(messages, response, settings=settings, n=n)  # type: ignore[arg-type]
        await asyncio.sleep(0.001 * answer.usage.prompt + 0.010 * (answer.usage.completion - 1))
        return [answer]


def test_reading_and_writing_are_told_apart() -> None:
    """Within what the clock of a busy machine allows: the two differ by a factor of ten here."""
    model = Timed(lambda _, __, settings: Generation("word", "length", TokenUsage(100, 0, settings.max_step_tokens)))
    found = asyncio.run(measure(model, batch=2))
    assert 2 * found.reading < found.writing
    assert found.read(10) == 10 * found.reading
    assert found.write(10, candidates=3) == 30 * found.writing
    prompts = {messages[0].text for messages, _, __ in model.calls}
    assert len(prompts) == 4  # none is in a cache from the round before


@pytest.mark.parametrize(
    ("usage", "told"), [(TokenUsage(0, 0, 40), "reports no prompt tokens"), (TokenUsage(100, 0, 1), "too few")]
)
def test_a_model_that_cannot_be_measured_is_named(usage: TokenUsage, told: str) -> None:
    model = ScriptedModel([Generation("word", "length", usage)], "m")
    with pytest.raises(ModelError, match=told):
        asyncio.run(measure(model, batch=2))
