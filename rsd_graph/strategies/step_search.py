"""Search over steps: several candidates for each next step, of which the process reward model keeps the best.

`beam` keeps several solutions at once; `process_best_of_n` keeps one.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from langchain_core.messages import BaseMessage

from rsd_graph.answers import extract_answer
from rsd_graph.errors import ContextOverflowError
from rsd_graph.next_step import blanks_at_end, conversation, is_blank, limit_reached, propose_several
from rsd_graph.protocols import needs_logprobs
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Generation, Step, Stop, Usage, join_steps
from rsd_graph.strategies.candidates import Writer, seeded, used
from rsd_graph.strategies.outcome import Models, Outcome, Watch
from rsd_graph.verdicts import verdicts


@dataclass(frozen=True, slots=True)
class _Solution:
    """A solution so far."""

    steps: tuple[Step, ...] = ()
    stop: Stop | None = None
    """Why it has ended; None if it continues."""
    reward: float | None = None
    """Of what was written last; None if that is blank, or nothing was."""
    tokens: int = 0
    """All that was written for it, blank steps at its end too."""

    @property
    def rank(self) -> float:
        return -1.0 if self.reward is None else self.reward


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A step that may follow a solution."""

    step: int
    text: str
    solution: _Solution
    """The solution with this step."""


@dataclass(frozen=True, slots=True)
class _Expanded:
    """What has become of a solution in one round: candidates, or the end."""

    candidates: Sequence[_Candidate]
    ended: _Solution | None
    usage: Usage


async def search(
    models: Models, model: Writer, problem: str, settings: RSDSettings, watch: Watch, *, width: int, expand: int
) -> Outcome:
    """Keep the `width` solutions whose last steps have the highest rewards, and continue each in `expand` ways.

    The first step has `width * expand` candidates. A solution that has ended keeps its place. When all have ended, the
    one whose last step has the highest reward wins: of those in which the model ended its text, if there are any. Of
    equal ones, the first is taken.

    Args:
        models: The one in the role `model` writes; the reward scores all candidates for a step in one request.
        model: Which one writes.
        problem: The question.
        settings: How to sample, and the limits of each solution.
        watch: Is told of every candidate, and of a step as soon as all solutions that are left share it.
        width: Solutions that are kept.
        expand: Candidates for the next step of each.

    Returns:
        The solution that wins; its `answers` are those of all solutions that were left.
    """
    expander = _Expander(models, model, settings, conversation(settings, problem))
    beam, usage, told = [_Solution()], Usage(), 0
    samples = width * expand
    while any(each.stop is None for each in beam):
        expanded = await asyncio.gather(*(expander.expand(each, i, samples) for i, each in enumerate(beam)))
        usage = sum((each.usage for each in expanded), usage)
        beam = await _kept(expanded, width, watch)
        told = await _tell_shared(beam, told, watch)
        samples = expand
    best = max(beam, key=lambda each: (each.stop == "eos", each.rank))
    await _tell_kept(_without_blank_end(best.steps), told, watch)
    return _outcome(best, beam, usage, settings)


@dataclass(frozen=True, slots=True)
class _Expander:
    """Has a model continue solutions, and the reward score what it writes."""

    models: Models
    role: Writer
    settings: RSDSettings
    conversation: Sequence[BaseMessage]

    async def expand(self, solution: _Solution, number: int, samples: int) -> _Expanded:
        """Continue the solution with this number in the beam, which decides the seed."""
        if solution.stop is not None:
            return _Expanded((), solution, Usage())
        usage = Usage()
        try:
            written = await propose_several(
                getattr(self.models, self.role),
                self.role,
                self.conversation,
                solution.steps,
                seeded(self.settings, number),
                samples,
                logprobs=needs_logprobs(self.models.reward),
            )
            usage += self._spent(written, is_first=not solution.steps)
            rewards, scoring = await self._rewards(solution, written)
        except ContextOverflowError:  # of the writer or of the reward model
            return _Expanded((), replace(solution, stop="context_overflow"), usage)
        candidates = [
            _Candidate(len(solution.steps), each.text, self._with(solution, each, reward))
            for each, reward in zip(written, rewards, strict=True)
        ]
        return _Expanded(candidates, None, usage + scoring)

    def _spent(self, written: Sequence[Generation], *, is_first: bool) -> Usage:
        usage = Usage(question=written[0].usage.prompt if is_first else 0)
        for each in written:
            usage += used(self.role, each.usage)
        return usage

    async def _rewards(self, solution: _Solution, written: Sequence[Generation]) -> tuple[list[float | None], Usage]:
        """The reward of each candidate, None for a blank one: as in RSD, only an end of text may be blank."""
        judged = [index for index, each in enumerate(written) if each.finish == "eos" or not is_blank(each)]
        rewards: list[float | None] = [None] * len(written)
        if not judged:
            return rewards, Usage()
        scores = await verdicts(
            self.models.reward, self.conversation, solution.steps, [written[index] for index in judged]
        )
        usage = Usage()
        for index, score in zip(judged, scores, strict=True):
            rewards[index] = score.reward
            usage += Usage(reward=score.usage)
        return rewards, usage

    def _with(self, solution: _Solution, written: Generation, reward: float | None) -> _Solution:
        tokens = written.usage.completion
        steps = solution.steps
        if not (written.finish == "eos" and is_blank(written)):
            steps = (*steps, Step(written.text, self.role, reward, written.finish, tokens))
        stop = "eos" if written.finish == "eos" else limit_reached(steps, self.settings)
        return _Solution(steps, stop, reward, solution.tokens + tokens)


async def _kept(expanded: Sequence[_Expanded], width: int, watch: Watch) -> list[_Solution]:
    """The solutions that have ended, and the best of the others in the places that are left; their order stays."""
    candidates = [candidate for each in expanded for candidate in each.candidates]
    places = width - sum(each.ended is not None for each in expanded)
    ranking = sorted(range(len(candidates)), key=lambda number: -candidates[number].solution.rank)
    chosen = set(ranking[:places])
    beam: list[_Solution] = []
    number = 0
    for each in expanded:
        if each.ended is not None:
            beam.append(each.ended)
        for candidate in each.candidates:
            if number in chosen:
                beam.append(candidate.solution)
            await _tell_candidate(candidate, number, number in chosen, watch)
            number += 1
    return beam


async def _tell_candidate(candidate: _Candidate, number: int, chosen: bool, watch: Watch) -> None:
    await watch(
        {
            "event": "candidate",
            "step": candidate.step,
            "number": number,
            "text": candidate.text,
            "answer": None,
            "reward": candidate.solution.reward,
            "chosen": chosen,
        }
    )


async def _tell_shared(beam: Sequence[_Solution], told: int, watch: Watch) -> int:
    """Tell of the steps that all solutions share, after those told already. Returns how many have been told of."""
    columns = zip(*(each.steps for each in beam), strict=False)
    shared = [column[0] for column in takewhile(lambda column: all(step is column[0] for step in column), columns)]
    return await _tell_kept(_without_blank_end(shared), told, watch)


async def _tell_kept(steps: Sequence[Step], told: int, watch: Watch) -> int:
    for index, step in enumerate(steps[told:], told):
        await watch({"event": "kept", "step": index, "text": step.text, "author": step.author, "reward": step.reward})
    return max(told, len(steps))


def _without_blank_end(steps: Sequence[Step]) -> Sequence[Step]:
    """What the response has of these steps; a blank one is in it as soon as a step follows that says something."""
    return steps[: len(steps) - blanks_at_end(steps)]


def _outcome(best: _Solution, beam: Sequence[_Solution], usage: Usage, settings: RSDSettings) -> Outcome:
    responses = [join_steps(_without_blank_end(each.steps), settings.delimiter) for each in beam]
    answers = [extract_answer(response) for response in responses]
    chosen = beam.index(best)
    written = usage.draft.completion + usage.target.completion
    counted = usage + Usage(response=best.tokens, discarded=written - best.tokens)
    assert best.stop is not None  # noqa: S101  # the search ends when all have ended
    return Outcome(responses[chosen], answers[chosen], _without_blank_end(best.steps), best.stop, counted, answers)
