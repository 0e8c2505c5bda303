"""Whether two expression trees have the same value.

Rational values are exact, whatever their size: no tolerance can take 1/52! for 1/51!. Irrational ones are computed
twice, to 30 and to 60 digits: a difference that is only rounding shrinks with the precision. Expressions with
variables are the same function when they agree at points drawn at random, positive and negative, where both are real;
two different ones agree there by chance about never. What grows too large raises an error instead of filling memory.
"""

import random
from collections.abc import Callable, Mapping
from fractions import Fraction
from math import comb, gcd, lcm
from typing import Any

import mpmath

from rsd_graph.answers.expressions import Tree

_LOW, _HIGH = 30, 60  # digits
_BITS = 400_000  # of the largest exact power
_LARGEST_FACTORIAL = 5_000
_FIRST_POINTS = 12
_ROUNDED = 6  # a decimal of so many places may be the rounded form of an exact value


class UnknownValueError(Exception):
    """Undefined, not real at a real point, or too large."""


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
            left, right = _at(one, point, _HIGH), _at(other, point, _HIGH)
            if left == 0 or right == 0:
                if left != right:
                    return None
                continue
            ratios.append(left / right)
        except _FAILURES:
            continue
    if len(ratios) < 2 or not all(_close(ratio, ratios[0]) for ratio in ratios):
        return None
    return 1 if mpmath.re(_float(ratios[0])) > 0 else -1


def number(tree: Tree) -> Any:
    """The real value of a tree without variables, to order by; None if it has none."""
    try:
        value = _at(tree, {}, _HIGH)
    except _FAILURES:
        return None
    if isinstance(value, mpmath.mpc):
        return None
    with mpmath.workdps(_HIGH):
        return _float(value)


def symbols(tree: Tree) -> frozenset[str]:
    """The names of the variables."""
    if tree[0] == "symbol":
        return frozenset({tree[1]})
    return frozenset().union(*(symbols(part) for part in tree[1:] if isinstance(part, tuple)))


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
        same = _same_at(one, other, {**point, "log": base}, complex_too=complex_too)
        if same is False:
            return False
        seen += same is True
    return True if seen >= 2 else None


def _has_i(tree: Tree) -> bool:
    return tree == ("constant", "i") or any(_has_i(part) for part in tree[1:] if isinstance(part, tuple))


def _points(names: list[str]) -> list[dict[str, Any]]:
    """Positive fractions, then fractions of either sign, then natural numbers."""
    draw = random.Random(len(names))
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
        left, right = _at(one, point, _HIGH), _at(other, point, _HIGH)
        if isinstance(left, Fraction) and isinstance(right, Fraction):
            return left == right
        if not complex_too and not (_is_real(left) and _is_real(right)):
            return None
        if _close(left, right):
            return True
        with mpmath.workdps(_LOW):
            rough = abs(_float(_at(one, point, _LOW)) - _float(_at(other, point, _LOW)))
        with mpmath.workdps(_HIGH):
            fine = abs(_float(left) - _float(right))
            if mpmath.isinf(fine):
                return False
            return bool(fine < rough * mpmath.mpf(10) ** -20 or (rough == 0 and fine < mpmath.mpf(10) ** -50))
    except _FAILURES:
        return None


def _is_real(value: Any) -> bool:
    return not isinstance(value, mpmath.mpc) or abs(value.imag) <= abs(value.real) * mpmath.mpf(10) ** -40


def _close(left: Any, right: Any) -> bool:
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return left == right
    with mpmath.workdps(_HIGH):
        left, right = _float(left), _float(right)
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


def _at(tree: Tree, point: Mapping[str, Any], digits: int) -> Any:
    with mpmath.workdps(digits):
        value = _value(tree, point)
        if not isinstance(value, Fraction) and mpmath.isnan(value):
            raise UnknownValueError("not a number")
        return value


def _value(tree: Tree, point: Mapping[str, Any]) -> Any:
    match tree:
        case ("number", str(literal)):
            return Fraction(literal)
        case ("repeating", str(head), str(tail)):
            places = len(head.partition(".")[2])
            start = Fraction(head if head != "." else 0)
            return start + Fraction(int(tail), (10 ** len(tail) - 1) * 10**places)
        case ("symbol", str(name)):
            return point[name]
        case ("constant", str(name)):
            return {"π": +mpmath.pi, "e": +mpmath.e, "i": mpmath.mpc(0, 1), "∞": mpmath.inf}[name]
        case ("neg", inner):
            return -_value(inner, point)
        case ("degrees", inner):
            return _value(inner, point)
        case ("function", str(name), *arguments):
            return _function(name, arguments, point)
        case ("log", base, argument):
            return mpmath.log(_positive(_value(argument, point)), _float(_value(base, point)))
        case ("root", degree, inner):
            return _root(_value(degree, point), _value(inner, point))
        case (str(operation), left, right):
            return _OPERATIONS[operation](_value(left, point), _value(right, point))
    raise UnknownValueError(tree[0])


def _mixed(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Exact with two fractions, floating with anything else."""

    def apply(left: Any, right: Any) -> Any:
        if not (isinstance(left, Fraction) and isinstance(right, Fraction)):
            left, right = _float(left), _float(right)
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
    base, exponent = _float(base), _float(exponent)
    if abs(exponent) > 10**6 or (abs(base) > 10**6 and abs(exponent) > 10**5):
        raise UnknownValueError("too large")
    return base**exponent


def _root(degree: Any, value: Any) -> Any:
    """The real root where there is one: the cube root of -8 is -2."""
    if isinstance(degree, Fraction) and degree.denominator == 1 and degree > 0:
        if isinstance(value, Fraction) and value >= 0 and (exact := _exact_root(int(degree), value)) is not None:
            return exact
        if degree % 2 == 1 and isinstance(value, Fraction | mpmath.mpf) and value < 0:
            return -mpmath.root(_float(-value), int(degree))
        return mpmath.root(_float(value), int(degree)) if degree < 1000 else _power(_float(value), 1 / degree)
    return _float(value) ** (1 / _float(degree))


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
        values[0] = _float(values[0]) * mpmath.pi / 180
    if name in _EXACT and all(isinstance(value, Fraction) for value in values):
        return _EXACT[name](*values)
    if name == "log":
        return mpmath.log(_positive(values[0]), 10) if point.get("log", 10) else mpmath.log(_positive(values[0]))
    if name == "cbrt":
        return _root(Fraction(3), values[0])
    if name not in _FLOATING:
        raise UnknownValueError(name)
    return _FLOATING[name](*map(_float, values))


def _in_degrees(tree: Tree) -> bool:
    return tree[0] == "degrees" or any(_in_degrees(part) for part in tree[1:] if isinstance(part, tuple))


def _positive(value: Any) -> Any:
    value = _float(value)
    if value == 0:
        raise UnknownValueError("the logarithm of 0")
    return value


def _float(value: Any) -> Any:
    return mpmath.mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else mpmath.mpmathify(value)


def _factorial(value: Fraction) -> Fraction:
    if value.denominator != 1 or value < 0 or value > _LARGEST_FACTORIAL:
        raise UnknownValueError("no factorial")
    return Fraction(int(mpmath.libmp.ifac(int(value))))


def _binomial(n: Fraction, k: Fraction) -> Any:
    if n.denominator == k.denominator == 1 and 0 <= n <= _LARGEST_FACTORIAL and k >= 0:
        return Fraction(comb(int(n), int(k)))
    return mpmath.binomial(_float(n), _float(k))


def _whole(operation: Callable[..., int]) -> Callable[..., Fraction]:
    def apply(*values: Fraction) -> Fraction:
        if any(value.denominator != 1 for value in values):
            raise UnknownValueError("not whole")
        return Fraction(operation(*map(int, values)))

    return apply


_FAILURES = (ArithmeticError, ValueError, TypeError, KeyError, UnknownValueError, mpmath.libmp.NoConvergence)
_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "add": _mixed(lambda left, right: left + right),
    "sub": _mixed(lambda left, right: left - right),
    "mul": _mixed(lambda left, right: left * right),
    "div": _mixed(lambda left, right: left / right),
    "mod": _mixed(lambda left, right: left % right),
    "pow": _power,
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
_TRIGONOMETRIC = frozenset({"sin", "cos", "tan", "cot", "sec", "csc"})
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
    "ln": lambda value: mpmath.log(_positive(value)),
    "lg": lambda value: mpmath.log(_positive(value), 10),
}
