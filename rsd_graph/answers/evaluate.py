"""Compute an expression tree at a point.

Fractions stay fractions as long as they can, whatever their size; anything else becomes a float of mpmath. What grows
too large raises an error instead of filling memory.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import comb, gcd, lcm
from typing import Any

import mpmath

from rsd_graph.answers.expressions import Tree

_BITS = 400_000  # of the largest exact power
_LARGEST_FACTORIAL = 5_000


class UnknownValueError(Exception):
    """Undefined, not real at a real point, or too large."""


FAILURES = (ArithmeticError, ValueError, TypeError, KeyError, UnknownValueError, mpmath.libmp.NoConvergence)


def value_at(tree: Tree, point: Mapping[str, Any], digits: int) -> Any:
    """The value, computed with so many digits, where the variables have these values: a fraction or a float of mpmath.

    Raises:
        One of `FAILURES`, where it is undefined or too large.
    """
    with mpmath.workdps(digits):
        value = _value(tree, point)
        if not isinstance(value, Fraction) and mpmath.isnan(value):
            raise UnknownValueError("not a number")
        return value


def _value(tree: Tree, point: Mapping[str, Any]) -> Any:
    match tree:
        case ("function", str(name), *arguments):
            return _function(name, arguments, point)
        case ("symbol", str(name)):
            return point[name]
        case ("number" | "repeating" | "constant", *parts):
            return _constant(*parts)
        case (str(operation), *operands):
            value = _OPERATIONS[operation](*(_value(operand, point) for operand in operands))
            if isinstance(value, mpmath.mpc) and point.get("real") and value.imag:
                raise UnknownValueError("not real")
            return value
    raise UnknownValueError(tree[0])


def _constant(literal: str, repeated: str = "") -> Any:
    if literal in ("π", "e", "i", "∞"):
        return {"π": +mpmath.pi, "e": +mpmath.e, "i": mpmath.mpc(0, 1), "∞": mpmath.inf}[literal]
    if not repeated:
        return Fraction(literal)
    places = len(literal.partition(".")[2])
    return Fraction(literal.rstrip(".") or 0) + Fraction(int(repeated), (10 ** len(repeated) - 1) * 10**places)


def _mixed(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Exact with two fractions, floating with anything else."""

    def apply(left: Any, right: Any) -> Any:
        if not (isinstance(left, Fraction) and isinstance(right, Fraction)):
            left, right = as_float(left), as_float(right)
        return operation(left, right)

    return apply


def _power(base: Any, exponent: Any) -> Any:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        size = max(base.numerator.bit_length(), base.denominator.bit_length())
        if size * abs(exponent) > _BITS and abs(base) != 1:
            raise UnknownValueError("too large")
        return base ** int(exponent)
    if isinstance(exponent, Fraction) and exponent.denominator == 2 and exponent > 0 and isinstance(base, Fraction):
        return _power(_root(Fraction(2), base), Fraction(exponent.numerator))
    base, exponent = as_float(base), as_float(exponent)
    if abs(exponent) > 10**6 or (abs(base) > 10**6 and abs(exponent) > 10**5):
        raise UnknownValueError("too large")
    return base**exponent


def _root(degree: Any, value: Any) -> Any:
    """The real root where there is one: the cube root of -8 is -2."""
    if isinstance(degree, Fraction) and degree.denominator == 1 and degree > 0:
        if isinstance(value, Fraction) and value >= 0 and (exact := _exact_root(int(degree), value)) is not None:
            return exact
        if degree % 2 == 1 and isinstance(value, Fraction | mpmath.mpf) and value < 0:
            return -mpmath.root(as_float(-value), int(degree))
        return mpmath.root(as_float(value), int(degree)) if degree < 1000 else _power(as_float(value), 1 / degree)
    return as_float(value) ** (1 / as_float(degree))


def _exact_root(degree: int, value: Fraction) -> Fraction | None:
    if degree > 64 or max(value.numerator.bit_length(), value.denominator.bit_length()) > 4096:
        return None
    parts = []
    for part in (value.numerator, value.denominator):
        with mpmath.workdps(1300):
            root = (
                int(mpmath.nint(mpmath.root(part, degree))) if part.bit_length() > 50 else round(part ** (1 / degree))
            )
        if root**degree != part:
            return None
        parts.append(root)
    return Fraction(parts[0], parts[1])


def _function(name: str, arguments: list[Tree], point: Mapping[str, Any]) -> Any:
    values = [_value(argument, point) for argument in arguments]
    if name in _TRIGONOMETRIC and arguments and _in_degrees(arguments[0]):
        values[0] = as_float(values[0]) * mpmath.pi / 180
    if name in _EXACT and all(isinstance(value, Fraction) for value in values):
        return _EXACT[name](*values)
    if name == "log":
        return mpmath.log(_positive(values[0]), 10) if point.get("log", 10) else mpmath.log(_positive(values[0]))
    if name == "cbrt":
        return _root(Fraction(3), values[0])
    if name not in _FLOATING:
        raise UnknownValueError(name)
    return _FLOATING[name](*map(as_float, values))


def _in_degrees(tree: Tree) -> bool:
    return tree[0] == "degrees" or any(_in_degrees(part) for part in tree[1:] if isinstance(part, tuple))


def _positive(value: Any) -> Any:
    value = as_float(value)
    if value == 0:
        raise UnknownValueError("the logarithm of 0")
    return value


def as_float(value: Any) -> Any:
    """A value as one of mpmath's numbers."""
    return mpmath.mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else mpmath.mpmathify(value)


def _factorial(value: Fraction) -> Fraction:
    if value.denominator != 1 or value < 0 or value > _LARGEST_FACTORIAL:
        raise UnknownValueError("no factorial")
    return Fraction(int(mpmath.libmp.ifac(int(value))))


def _binomial(n: Fraction, k: Fraction) -> Any:
    if n.denominator == k.denominator == 1 and 0 <= n <= _LARGEST_FACTORIAL and k >= 0:
        return Fraction(comb(int(n), int(k)))
    return mpmath.binomial(as_float(n), as_float(k))


def _whole(operation: Callable[..., int]) -> Callable[..., Fraction]:
    def apply(*values: Fraction) -> Fraction:
        if any(value.denominator != 1 for value in values):
            raise UnknownValueError("not whole")
        return Fraction(operation(*map(int, values)))

    return apply


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": _mixed(lambda left, right: left + right),
    "sub": _mixed(lambda left, right: left - right),
    "mul": _mixed(lambda left, right: left * right),
    "div": _mixed(lambda left, right: left / right),
    "mod": _mixed(lambda left, right: left % right),
    "pow": _power,
    "root": _root,
    "neg": lambda value: -value,
    "degrees": lambda value: value,
    "log": lambda base, value: mpmath.log(_positive(value), as_float(base)),
}
_EXACT: dict[str, Callable[..., Any]] = {
    "factorial": _factorial,
    "factorial2": lambda value: Fraction(int(mpmath.fac2(int(_factorial(value) and value)))),
    "binom": _binomial,
    "floor": lambda value: Fraction(value.numerator // value.denominator),
    "ceil": lambda value: Fraction(-(-value.numerator // value.denominator)),
    "abs": abs,
    "gcd": _whole(gcd),
    "lcm": _whole(lcm),
    "max": max,
    "min": min,
    "sqrt": lambda value: _root(Fraction(2), value),
}
_TRIGONOMETRIC = frozenset({"cis", "sin", "cos", "tan", "cot", "sec", "csc"})
_FLOATING: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(mpmath, name) for name in "sin cos tan cot sec csc sinh cosh tanh coth exp asin acos atan".split()
    },
    **{name: getattr(mpmath, name) for name in "floor ceil binomial".split()},
    **{f"arc{name}": getattr(mpmath, f"a{name}") for name in "sin cos tan cot sec csc sinh cosh tanh".split()},
    "factorial": lambda value: mpmath.gamma(value + 1),
    "binom": mpmath.binomial,
    "abs": abs,
    "max": max,
    "min": min,
    "sqrt": mpmath.sqrt,
    "cis": mpmath.expj,
    "ln": lambda value: mpmath.log(_positive(value)),
    "lg": lambda value: mpmath.log(_positive(value), 10),
}
