"""Compare two answers as mathematics."""

import re
from fractions import Fraction

from rsd_graph.answers.normalise import normalise
from rsd_graph.answers.verifier import Verifier

_WHOLE = re.compile(r"-?[0-9]{1,300}")
_NUMBER = re.compile(r"-?[0-9]{1,300}(?:\.[0-9]{1,300})?")
_verifier = Verifier()


def same_answer(answer: str | None, reference: str, *, timeout: float = 10.0) -> bool:
    """Whether two answers are mathematically the same; their order does not matter.

    Spelling, units that only one of them has, and the order of a list or set do not count; values must be exactly
    equal. A decimal with six or more places also equals the value that it is the rounded form of.

    Args:
        answer: The answer to judge; None is never right.
        reference: The right answer, as LaTeX or plain text.
        timeout: Seconds after which an unfinished comparison counts as "not the same".
    """
    if answer is None:
        return False
    one, other = normalise(answer), normalise(reference)
    if not one or not other:
        return False
    if one == other:
        return True
    if _NUMBER.fullmatch(one) and _NUMBER.fullmatch(other):
        if Fraction(one) == Fraction(other):
            return True
        if _WHOLE.fullmatch(one) and _WHOLE.fullmatch(other):
            return False
    return _verifier.same(answer, reference, timeout)
