"""Reduce the spelling of an answer: pure functions on text."""

import re

_DOLLAR = re.compile(r"\\?\$")
_GROUPED = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_MATH_DELIMITERS = ((r"\(", r"\)"), (r"\[", r"\]"))


def normalise(answer: str) -> str:
    """The answer without thousands separators, dollar signs, outer white space and a final full stop.

    Two answers that normalise to the same text are the same; two that do not may still be equal as mathematics.
    """
    text = _DOLLAR.sub("", answer).strip().removesuffix(".")
    return text.replace(",", "") if _GROUPED.fullmatch(text) else text


def unwrap(answer: str) -> str:
    """The answer without the final full stop, the emphasis and the math delimiters around it, however nested."""
    before = ""
    while answer != before:
        before, answer = answer, _without_dollars(answer.strip(" \t*").removesuffix("."))
        for opening, closing in _MATH_DELIMITERS:
            inner = answer[len(opening) : -len(closing)]
            if not (answer.startswith(opening) and answer.endswith(closing) and len(answer) > len(opening)):
                continue
            if closing not in inner:  # else these two delimit two formulas
                answer = inner
    return answer


def _without_dollars(answer: str) -> str:
    """The answer without the dollar signs that stand on both its sides, all of them at once."""
    inner = answer.strip("$")
    if "$" in inner:  # the outer ones delimit two formulas
        return answer
    if not inner:
        return "$" * (len(answer) % 2)
    before = len(answer) - len(answer.lstrip("$"))
    around = min(before, len(answer) - before - len(inner))
    return answer[around : len(answer) - around]
