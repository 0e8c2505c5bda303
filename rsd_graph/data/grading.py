"""Whether an answer is the reference: as mathematics, as one of several choices, or within a tolerance."""

import re
from collections.abc import Iterable, Iterator, Sequence

from rsd_graph.answers import extract_answer, same_answer
from rsd_graph.data.choices import LETTERS
from rsd_graph.data.problems import Problem

_LETTER = re.compile(r"(?:\\(?:text|mathrm|mathbf|textbf)\s*\{\s*)?\(?\s*([A-J])\s*\)?\s*\}?[.:)]?(?:\s.*)?", re.DOTALL)
_DOLLARS = re.compile(r"^\$+|\$+$")


def is_right(
    answer: str | None, reference: str, *, choices: Sequence[str] = (), tolerance: float | None = None
) -> bool:
    """Whether the answer is right.

    Args:
        answer: The final answer; None is never right.
        reference: The right one; with choices, its letter.
        choices: Those of the problem, in the order in which they were shown.
        tolerance: How far a number may be from the reference.
    """
    if answer is None:
        return False
    if choices:
        return _chosen(answer, choices) == reference
    if same_answer(answer, reference):
        return True
    return tolerance is not None and _is_near(answer, reference, tolerance)


def grades(problem: Problem, response: str) -> bool:
    """Whether the final answer of the response is right."""
    return is_right(extract_answer(response), problem.answer, choices=problem.choices, tolerance=problem.tolerance)


def wrongly_graded(problems: Iterable[Problem]) -> Iterator[tuple[Problem, str | None]]:
    """The problems whose own reference solution does not grade as right, each as soon as it is found.

    Yields:
        The problem, and the answer that was found in its solution; None if none was found.
    """
    for problem in problems:
        if not grades(problem, problem.reference_solution):
            yield problem, extract_answer(problem.reference_solution)


def _chosen(answer: str, choices: Sequence[str]) -> str | None:
    """The letter of the choice that the answer names, by letter or by its text; None if it names none."""
    text = _DOLLARS.sub("", answer.strip())
    letter = _LETTER.fullmatch(text)
    if letter and LETTERS.index(letter[1]) < len(choices):
        return letter[1]
    said = [
        LETTERS[index]
        for index, choice in enumerate(choices)
        if choice.strip().casefold() == text.casefold() or same_answer(text, choice)
    ]
    return said[0] if len(said) == 1 else None


def _is_near(answer: str, reference: str, tolerance: float) -> bool:
    try:
        return abs(float(answer.strip("$ ")) - float(reference.strip("$ "))) <= tolerance
    except ValueError:
        return False
