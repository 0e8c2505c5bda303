"""The draft solves problems; every solution is a line in a file, and is not asked for again."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rsd_graph.answers import extract_answer, same_answer
from rsd_graph.errors import ConfigurationError, ContextOverflowError
from rsd_graph.evaluation.json_lines import read_lines
from rsd_graph.evaluation.solutions import Solution
from rsd_graph.next_step import conversation, is_blank, propose
from rsd_graph.protocols import StepGenerator
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Generation, Step, join_steps
from rsd_graph.training.journal import Journal

CONCURRENCY = 8
"""Problems under way at once: an embedded model's slots."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem whose answer is known."""

    text: str
    answer: str


def read_problems(file: Path) -> list[Problem]:
    """The problems in a file of JSON lines: `question` or `problem`, and `answer`, behind `####` as in GSM8K or bare.

    Raises:
        ConfigurationError: the file cannot be read, or a line is no such problem; the message names it.
    """
    problems = read_lines(file, "a problem; it needs `question` or `problem`, and `answer`", _problem)
    if not problems:
        raise ConfigurationError(f"{file} holds no problem")
    return problems


def with_references(solutions: Sequence[Solution], problems: Sequence[Problem]) -> list[Solution]:
    """The solutions, each with its right answer; where a solution does not say it, from the problems.

    Raises:
        ConfigurationError: the answer of a solution's problem is not known.
    """
    answers = {problem.text: problem.answer for problem in problems}
    found = []
    for solution in solutions:
        reference = solution.reference or answers.get(solution.problem)
        if not reference:
            raise ConfigurationError(
                f"labels by continuation need the right answer, and none is known of {solution.problem!r:.80}: write "
                "it into the solution as `reference`, or name the file of its problem"
            )
        found.append(replace(solution, reference=reference))
    return found


def _problem(record: Any) -> Problem:
    text = record.get("question") or record["problem"]
    if not isinstance(text, str) or not text.strip():
        raise TypeError("the problem is a text, and not an empty one")
    return Problem(text, str(record["answer"]).split("####")[-1].strip())


async def sample(
    draft: StepGenerator,
    problems: Sequence[Problem],
    settings: RSDSettings,
    file: Path,
    progress: Callable[[int, int], None],
) -> None:
    """Have the draft solve each problem that the file does not hold yet."""
    journal = Journal(file)
    done = {record["problem"] for record in journal.records}
    places = asyncio.Semaphore(CONCURRENCY)

    async def solve(problem: Problem) -> dict[str, Any]:
        async with places:
            steps = await continue_solution(draft, problem.text, [], settings)
        answer = extract_answer(response(steps, settings))
        return {
            "problem": problem.text,
            "reference": problem.answer,
            "answer": answer,
            "correct": await asyncio.to_thread(same_answer, answer, problem.answer),
            "steps": [
                {
                    "text": step.text,
                    "finish": step.finish,
                    "tokens": step.usage.completion,
                    "logprobs": step.logprobs,
                }
                for step in steps
            ],
        }

    await journal.fill([solve(problem) for problem in problems if problem.text not in done], progress)


async def continue_solution(
    model: StepGenerator, problem: str, steps: Sequence[Generation], settings: RSDSettings
) -> list[Generation]:
    """The steps with which the model goes on behind `steps`, until it ends or a limit of the settings is reached."""
    messages = conversation(settings, problem)
    kept = [_kept(step) for step in steps]
    written: list[Generation] = []
    while len(kept) < settings.max_steps and sum(step.tokens for step in kept) < settings.max_tokens:
        try:
            step = await propose(model, "draft", messages, kept, settings)
        except ContextOverflowError:
            break
        if not is_blank(step):
            kept.append(_kept(step))
            written.append(step)
        if step.finish == "eos" or is_blank(step):
            break
    return written


def response(steps: Sequence[Generation], settings: RSDSettings) -> str:
    """The text that the steps make."""
    return join_steps([_kept(step) for step in steps], settings.delimiter)


def _kept(step: Generation) -> Step:
    return Step(step.text, "draft", finish=step.finish, tokens=step.usage.completion)
