r"""Sums, integrals and limits, which `expressions.py` does not read: through math-verify's parser and sympy.

math-verify's own comparison is not asked: it takes values below its tolerance for equal, and equations for their last
number. Its parser may drop what it does not know, so it gets only texts with an operator of calculus. Two expressions
are equal when sympy finds so, or when they agree to 30 digits for several values of their variables.
"""

import re
from typing import Any

from rsd_graph.answers.parts import split_relation
from rsd_graph.answers.spelling import spell

_OPERATOR = re.compile(r"\\(?:sum|prod|int|iint|oint|lim|partial|det)(?![A-Za-z])|\\frac\s*\{\s*d\s*\}\s*\{\s*d")
_LATEX = {"π": r"\pi ", "∞": r"\infty ", "*": r"\cdot ", "→": r"\to "}
_DIGITS = 30
_VALUES = (3, 5, 8)


def same_calculus(one: str, other: str) -> bool:
    """Whether two texts, at least one of them with an operator of calculus, have the same value."""
    one, other = spell(one), spell(other)
    if not (_OPERATOR.search(one) or _OPERATOR.search(other)):
        return False
    if any("…" in text or "≡" in text for text in (one, other)):
        return False
    (*names, left), (*others, right) = split_relation(one)[0], split_relation(other)[0]
    if names and others and names != others:
        return False
    first, second = _parsed(left), _parsed(right)
    return first is not None and second is not None and _agree(first, second)


def _parsed(text: str) -> Any:
    """The text as math-verify reads all of it, computed; None if it does not."""
    from math_verify import LatexExtractionConfig, parse

    for character, command in _LATEX.items():
        text = text.replace(character, command)
    found = parse(f"${text}$", [LatexExtractionConfig()], fallback_mode="no_fallback", parsing_timeout=None)
    return found[0].doit() if found and hasattr(found[0], "doit") else None


def _agree(first: Any, second: Any) -> bool:
    from sympy import Expr

    if first == second:
        return True
    if not (isinstance(first, Expr) and isinstance(second, Expr)):
        return False
    names = sorted(first.free_symbols | second.free_symbols, key=str)
    points = [{name: value + 2 * index for index, name in enumerate(names)} for value in _VALUES]
    return all(_close(first.subs(point).doit(), second.subs(point).doit()) for point in points[: 3 if names else 1])


def _close(first: Any, second: Any) -> bool:
    left, right = first.evalf(_DIGITS), second.evalf(_DIGITS)
    if not (left.is_number and right.is_number and left.is_finite and right.is_finite):
        return False
    return bool(abs(left - right) <= abs(left) * 10 ** (8 - _DIGITS))
