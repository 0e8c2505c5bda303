"""Majority voting (self-consistency, arXiv 2203.11171): the answer that most of n sampled solutions give."""

import asyncio
from collections.abc import Sequence

from rsd_graph.answers import same_answer
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Usage
from rsd_graph.strategies.candidates import N, Writer, check, seeded, tell, used
from rsd_graph.strategies.outcome import Models, Outcome, Strategy, Watch, nobody
from rsd_graph.strategies.whole import Written, write_whole


def majority(n: int = N, model: Writer = "target") -> Strategy:
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
        await tell(watch, [(each.response, each.answer, None) for each in written], chosen)
        return _outcome(written, chosen, model)

    return solve


def most_frequent(answers: Sequence[str | None]) -> int:
    """The index of the first solution whose answer most solutions give, in whatever form; no answer counts for none."""
    votes = [
        0 if mine is None else sum(other is not None and same_answer(other, mine) for other in answers)
        for mine in answers
    ]
    return votes.index(max(votes))


def _outcome(written: Sequence[Written], chosen: int, model: Writer) -> Outcome:
    best = written[chosen]
    usage = Usage(question=best.question, response=best.usage.completion)
    for number, each in enumerate(written):
        thrown_away = 0 if number == chosen else each.usage.completion
        usage += used(model, each.usage) + Usage(discarded=thrown_away)
    answers = [each.answer for each in written]
    return Outcome(best.response, best.answer, best.steps, best.stop, usage, answers)
