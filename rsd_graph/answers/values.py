"""Whether two expression trees have the same value.

Rational values are exact, whatever their size: no tolerance can take 1/52! for 1/51!. Irrational ones are computed
twice, to 30 and to 60 digits: a difference that is only rounding shrinks with the precision. Expressions with
variables are the same function when they agree at points drawn at random, positive and negative, where both are real;
two different ones agree there by chance about never.
"""

import random
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import mpmath

from rsd_graph.answers.evaluate import FAILURES, as_float, value_at
from rsd_graph.answers.expressions import Tree, symbols

_LOW, _HIGH = 30, 60  # digits
_FIRST_POINTS = 12
_ROUNDED = 6  # a decimal of so many places may be the rounded form of an exact value


def same_value(one: Tree, other: Tree) -> bool | None:
    """Whether two expressions are equal; None if no point told."""
    if one == other:
        return True
    verdicts = [_same_function(one, other, base) for base in _log_bases(one, other)]
    return True if True in verdicts else verdicts[0]


def proportional(one: Tree, other: Tree) -> int | None:
    """The sign of the constant by which `one` is a multiple of `other`: 1, -1, or None if it is no multiple."""
    ratios = []
    for point in _points(sorted(symbols(one) | symbols(other))):
        try:
            left, right = value_at(one, point, _HIGH), value_at(other, point, _HIGH)
            if left == 0 or right == 0:
                if left != right:
                    return None
                continue
            ratios.append(left / right)
        except FAILURES:
            continue
    if len(ratios) < 2 or not all(_close(ratio, ratios[0]) for ratio in ratios):
        return None
    return 1 if mpmath.re(as_float(ratios[0])) > 0 else -1


def number(tree: Tree) -> Any:
    """The real value of a tree without variables, to order by; None if it has none."""
    try:
        value = value_at(tree, {}, _HIGH)
    except FAILURES:
        return None
    if isinstance(value, mpmath.mpc):
        return None
    with mpmath.workdps(_HIGH):
        return as_float(value)


def _log_bases(*trees: Tree) -> tuple[int, ...]:
    """A logarithm without a base is read as decimal, then as natural."""
    return (10, 0) if any(_has_plain_log(tree) for tree in trees) else (10,)


def _has_plain_log(tree: Tree) -> bool:
    return tree[:2] == ("function", "log") or any(_has_plain_log(part) for part in tree[1:] if isinstance(part, tuple))


def _same_function(one: Tree, other: Tree, base: int) -> bool | None:
    names = sorted(symbols(one) | symbols(other))
    if not names:
        return _same_at(one, other, {"log": base}, complex_too=True) or _same_rounded(one, other)
    complex_too = _has_i(one) or _has_i(other)
    seen = 0
    for point in _points(names):
        same = _same_at(one, other, {**point, "log": base, "real": not complex_too}, complex_too=complex_too)
        if same is False:
            return False
        seen += same is True
    return True if seen >= 2 else None


def _has_i(tree: Tree) -> bool:
    return tree == ("constant", "i") or any(_has_i(part) for part in tree[1:] if isinstance(part, tuple))


def _points(names: list[str]) -> list[dict[str, Any]]:
    """Positive fractions, then fractions of either sign, then natural numbers."""
    draw = random.Random(len(names))  # noqa: S311  the same points every time
    points: list[dict[str, Any]] = []
    for index in range(_FIRST_POINTS):
        point: dict[str, Any] = {}
        for name in names:
            value = Fraction(draw.randint(3, 60), draw.choice((7, 11, 13)))
            sign = 1 if index < 4 else draw.choice((1, -1))
            point[name] = Fraction(draw.randint(2, 9)) if index >= 8 else sign * value
        points.append(point)
    return points


def _same_at(one: Tree, other: Tree, point: Mapping[str, Any], *, complex_too: bool) -> bool | None:
    try:
        left, right = value_at(one, point, _HIGH), value_at(other, point, _HIGH)
        if isinstance(left, Fraction) and isinstance(right, Fraction):
            return left == right
        if not complex_too and not (_is_real(left) and _is_real(right)):
            return None
        if _close(left, right):
            return True
        with mpmath.workdps(_LOW):
            rough = abs(as_float(value_at(one, point, _LOW)) - as_float(value_at(other, point, _LOW)))
        with mpmath.workdps(_HIGH):
            fine = abs(as_float(left) - as_float(right))
            if mpmath.isinf(fine):
                return False
            return bool(fine < rough * mpmath.mpf(10) ** -20 or (rough == 0 and fine < mpmath.mpf(10) ** -50))
    except FAILURES:
        return None


def _is_real(value: Any) -> bool:
    return not isinstance(value, mpmath.mpc) or abs(value.imag) <= abs(value.real) * mpmath.mpf(10) ** -40


def _close(left: Any, right: Any) -> bool:
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return left == right
    with mpmath.workdps(_HIGH):
        left, right = as_float(left), as_float(right)
        if left == right:
            return True
        if mpmath.isinf(left) or mpmath.isinf(right):
            return False
        return bool(abs(left - right) <= max(abs(left), abs(right)) * mpmath.mpf(10) ** (15 - _HIGH))


def _same_rounded(one: Tree, other: Tree) -> bool:
    """Whether one is a decimal of at least six digits after the point, and the other rounds to it."""
    for decimal, exact in ((one, other), (other, one)):
        literal = decimal[1] if decimal[0] == "neg" else decimal
        if literal[0] != "number" or "e" in literal[1].lower() or "." not in literal[1]:
            continue
        places = len(literal[1].split(".")[1])
        if places < _ROUNDED or len(literal[1].replace(".", "").lstrip("0")) < _ROUNDED:
            continue
        value = number(exact)
        if value is not None:
            with mpmath.workdps(_HIGH):
                half = mpmath.mpf(10) ** -places / 2
                if abs(value - number(decimal)) <= half * (1 + mpmath.mpf(10) ** -20):
                    return True
    return False
