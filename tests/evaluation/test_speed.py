import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from rsd_graph import Generation, RSDSettings, Score, TokenUsage
from rsd_graph.errors import ModelError
from rsd_graph.evaluation.speed import Measured, measure, measure_reward
from rsd_graph.testing import ScriptedModel, ScriptedReward


class Timed(ScriptedModel):
    """A model that takes 1 ms for each token that it reads, 10 ms for each that it writes, and `call` seconds more.

    With `cache`, it reads no prompt twice.
    """

    def __init__(self, call: float, *, cache: bool) -> None:
        super().__init__(self.answer)
        self.call, self.cache, self.known = call, cache, set[str]()

    def answer(self, messages: object, _: str, settings: RSDSettings) -> Generation:
        prompt = str(messages)
        cached = 99 if prompt in self.known else 0
        if self.cache:
            self.known.add(prompt)
        return Generation("word", "length", TokenUsage(100, cached, settings.max_step_tokens))

    async def generate(self, messages: object, response: str, *, settings: object, n: int = 1) -> list[Generation]:
        (answer,) = await super().generate(messages, response, settings=settings, n=n)  # type: ignore[arg-type]
        read, written = answer.usage.prompt - answer.usage.cached, answer.usage.completion - 1
        await asyncio.sleep(self.call + 0.001 * read + 0.010 * written)
        return [answer]


@pytest.mark.parametrize("cache", [True, False])
def test_reading_and_writing_are_told_apart(cache: bool) -> None:
    """Within what the clock of a busy machine allows: the two differ by a factor of ten here."""
    model = Timed(0.0, cache=cache)
    found = asyncio.run(measure(model, batch=2))
    assert 2 * found.reading < found.writing
    assert found.read(10) == 10 * found.reading
    assert found.write(10, candidates=3) == 30 * found.writing
    prompts = {messages[0].text for messages, _, __ in model.calls}
    assert len(prompts) == 6  # two rounds of two, two of one: none is in a cache from before


def test_between_one_problem_and_all_a_pass_lies_on_a_line() -> None:
    """Models on the same cores share the problems between them, and a pass for fewer is shorter there."""
    measured = Measured(0.0, 0.4, alone=0.1, batch=16)
    assert measured.write(1) == pytest.approx(0.4)
    assert measured.write(1, share=0.5) == pytest.approx(0.1 + 7 / 15 * 0.3)
    assert measured.write(1, share=0.01) == pytest.approx(0.1)
    assert Measured(0.0, 0.4).write(2, share=0.5) == pytest.approx(0.8)


def test_what_a_request_takes_beside_is_told_apart() -> None:
    """A small model on a fast machine spends most of a short request there."""
    found = asyncio.run(measure(Timed(0.3, cache=True), batch=2))
    assert found.call >= 0.3
    assert 2 * found.reading < found.writing


@pytest.mark.parametrize(
    ("usage", "told"), [(TokenUsage(0, 0, 40), "reports no prompt tokens"), (TokenUsage(100, 0, 1), "too few")]
)
def test_a_model_that_cannot_be_measured_is_named(usage: TokenUsage, told: str) -> None:
    model = ScriptedModel([Generation("word", "length", usage)], "m")
    with pytest.raises(ModelError, match=told):
        asyncio.run(measure(model, batch=2))


class Judge(ScriptedReward):
    """A reward model that takes 2 ms for each token that it reads for the first time, and 100 ms more."""

    def __init__(self) -> None:
        super().__init__(lambda *_: 0.5)
        self.known = set[str]()

    async def score(self, messages: object, steps: object, candidates: Sequence[Generation]) -> list[Score]:
        (score,) = await super().score(messages, steps, candidates)  # type: ignore[arg-type]
        cached = 100 if candidates[0].text in self.known else 0
        self.known.add(candidates[0].text)
        await asyncio.sleep(0.1 + 0.002 * (100 - cached))
        return [replace(score, usage=TokenUsage(100, cached, 0))]


def test_a_reward_model_is_measured_too() -> None:
    """It writes nothing."""
    found = asyncio.run(measure_reward(Judge(), batch=2))
    assert found.call >= 0.1
    assert found.reading > 0.001
    assert found.write(10) == 0
