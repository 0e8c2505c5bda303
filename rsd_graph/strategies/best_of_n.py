"""Best of n: of n sampled solutions, the one whose last step the reward model scores highest."""

import asyncio
from dataclasses import dataclass

from rsd_graph.answers import extract_answer
from rsd_graph.errors import ContextOverflowError
from rsd_graph.next_step import conversation, limit_reached
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Generation, Score, Usage
from rsd_graph.strategies.candidates import N, Writer, check, seeded, tell, used
from rsd_graph.strategies.outcome import Models, Outcome, Strategy, Watch, nobody
from rsd_graph.strategies.single import continue_solution, kept, response
from rsd_graph.verdicts import verdicts


@dataclass(frozen=True, slots=True)
class _Candidate:
    steps: list[Generation]
    score: Score | None
    """Of the last step; None of a solution without steps, or one that does not fit the reward's context."""

    @property
    def reward(self) -> float:
        return self.score.reward if self.score else -1.0


def best_of_n(n: int = N, model: Writer = "draft") -> Strategy:
    """One model writes n solutions with different seeds; the reward model chooses by the last step of each.

    Args:
        n: How many; at least 1.
        model: Which one writes.

    Raises:
        ConfigurationError: `n` or `model` is none of these.
    """
    check(n, model)

    async def solve(models: Models, problem: str, settings: RSDSettings, watch: Watch = nobody) -> Outcome:
        written = await asyncio.gather(
            *(_write(models, model, problem, seeded(settings, number)) for number in range(n))
        )
        chosen = max(range(n), key=lambda number: written[number].reward)
        responses = [response(each.steps, settings) for each in written]
        answers = [extract_answer(said) for said in responses]
        rewards = [each.score.reward if each.score else None for each in written]
        await tell(watch, list(zip(responses, answers, rewards, strict=True)), chosen)
        steps = kept(written[chosen].steps, model)
        ended = bool(steps) and steps[-1].finish == "eos"
        stop = "eos" if ended else limit_reached(steps, settings) or "context_overflow"
        usage = sum((_usage(each, model, number == chosen) for number, each in enumerate(written)), Usage())
        return Outcome(responses[chosen], answers[chosen], steps, stop, usage, answers)

    return solve


async def _write(models: Models, model: Writer, problem: str, settings: RSDSettings) -> _Candidate:
    steps = await continue_solution(getattr(models, model), problem, [], settings, model)
    if not steps:
        return _Candidate(steps, None)
    try:
        (score,) = await verdicts(models.reward, conversation(settings, problem), kept(steps[:-1], model), [steps[-1]])
    except ContextOverflowError:
        return _Candidate(steps, None)
    return _Candidate(steps, score)


def _usage(written: _Candidate, model: Writer, is_chosen: bool) -> Usage:
    completion = sum(step.usage.completion for step in written.steps)
    usage = Usage(reward=written.score.usage) if written.score else Usage()
    for step in written.steps:
        usage += used(model, step.usage)
    if not is_chosen:
        return usage + Usage(discarded=completion)
    return usage + Usage(question=written.steps[0].usage.prompt if written.steps else 0, response=completion)
