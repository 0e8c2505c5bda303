"""Majority voting (self-consistency, arXiv 2203.11171): the answer that most of n sampled solutions give."""

import asyncio
from collections.abc import Sequence
from typing import Literal

from rsd_graph.answers import same_answer
from rsd_graph.errors import ConfigurationError
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Usage
from rsd_graph.strategies.outcome import Models, Outcome, Strategy, Watch, nobody
from rsd_graph.strategies.whole import Written, write_whole

N = 16
"""Solutions, as in the paper's experiments (arXiv 2501.19324, section 4)."""


def majority(n: int = N, model: Literal["draft", "target"] = "target") -> Strategy:
    """One model writes n solutions with different seeds; the answer that most of them give wins.

    Args:
        n: How many; at least 1.
        model: Which one writes.

    Raises:
        ConfigurationError: `n` or `model` is none of these.
    """
    check(n, model)

    async def solve(models: Models, problem: str, settings: RSDSettings, watch: Watch = nobody) -> Outcome:
        writer = getattr(models, model)
        written = await asyncio.gather(
            *(write_whole(writer, model, problem, seeded(settings, number)) for number in range(n))
        )
        chosen = most_frequent([each.answer for each in written])
        for number, each in enumerate(written):
            await watch(
                {
                    "event": "candidate",
                    "step": None,
                    "number": number,
                    "text": each.response,
                    "answer": each.answer,
                    "reward": None,
                    "chosen": number == chosen,
                }
            )
        return _outcome(written, chosen, model)

    return solve


def check(n: int, model: str) -> None:
    """Refuse what cannot be sampled.

    Raises:
        ConfigurationError: see `majority`.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ConfigurationError(f"n must be a whole number from 1, got {n!r}")
    if model not in {"draft", "target"}:
        raise ConfigurationError(f"model must be draft or target, got {model!r}")


def seeded(settings: RSDSettings, number: int) -> RSDSettings:
    """The settings of the candidate with this number: each has a seed of its own."""
    return settings.model_copy(update={"seed": (settings.seed + 7919 * number) % 2**31})


def most_frequent(answers: Sequence[str | None]) -> int:
    """The index of the first solution whose answer most solutions give, in whatever form; no answer counts for none."""
    votes = [
        0 if mine is None else sum(other is not None and same_answer(other, mine) for other in answers)
        for mine in answers
    ]
    return votes.index(max(votes))


def _outcome(written: Sequence[Written], chosen: int, model: str) -> Outcome:
    best = written[chosen]
    usage = Usage(question=best.question, response=best.usage.completion)
    for number, each in enumerate(written):
        thrown_away = 0 if number == chosen else each.usage.completion
        usage += Usage(**{model: each.usage}, discarded=thrown_away)  # type: ignore[arg-type]  # a role's name
    answers = [each.answer for each in written]
    return Outcome(best.response, best.answer, best.steps, best.stop, usage, answers)
