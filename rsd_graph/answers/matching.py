"""Whether two readings are the same answer."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TypeVar

from rsd_graph.answers.expressions import Tree, symbols
from rsd_graph.answers.shapes import (
    Choice,
    Digits,
    Items,
    Matrix,
    Named,
    Piece,
    Readings,
    Region,
    Relation,
    Shape,
    Value,
    Words,
)
from rsd_graph.answers.units import factor, is_known, same_unit
from rsd_graph.answers.values import proportional, same_value

T = TypeVar("T")
_FLIPPED = {"<": ">", ">": "<", "≤": "≥", "≥": "≤"}
_FUNCTION = re.compile(r"([A-Za-zα-ω]+)\(([A-Za-zα-ω])\)")
_MANY = 200  # items to pair


def same_readings(one: Readings, other: Readings) -> bool:
    """Whether any reading of the one is the same as any of the other."""
    letters = [{shape.letter for shape in shapes if isinstance(shape, Choice)} for shapes in (one, other)]
    if all(letters):
        return letters[0] == letters[1]  # what stands after the letters does not matter
    matrices = [[shape for shape in shapes if isinstance(shape, Matrix)] for shapes in (one, other)]
    if all(matrices):  # as tuples, a row and a column would be the same
        return any(_same_rows(left, right) for left in matrices[0] for right in matrices[1])
    return any(_same(left, right) for left in one for right in other)


def _same(one: Shape, other: Shape) -> bool:
    if type(one) is type(other):
        return _same_kind(one, other)
    return _across(one, other) or _across(other, one)


def _same_kind(one: Shape, other: Shape) -> bool:
    match one, other:
        case Value(), Value():
            return _same_quantity(one, other)
        case Items(), Items():
            return _same_items(one, other)
        case Named(), Named():
            return _same_name(one.name, other.name) and same_readings(_renamed(one), _renamed(other))
        case Relation(), Relation():
            return _same_relation(one, other)
        case _:
            return _same_parts(one, other)


def _same_parts(one: Shape, other: Shape) -> bool:
    match one, other:
        case Region(), Region():
            return _same_variable(one.variable, other.variable) and _paired(one.pieces, other.pieces, _same_piece)
        case Digits(), Digits():
            return _same_digits(one, other)
        case Matrix(), Matrix():
            return _same_rows(one, other)
        case _:
            return one == other


def _across(one: Shape, other: Shape) -> bool:
    """Whether the first is the second in another form: `x = 5` is 5, `{5}` is 5, `(B) 7` is 7."""
    match one, other:
        case Choice(), _ if one.rest:
            return same_readings(one.rest, (other,))
        case Named(), Region():
            return _same_variable(one.name, other.variable) and same_readings(one.value, (other,))
        case Named(), (Value() | Items() | Matrix() | Digits() | Words()):
            return same_readings(one.value, (other,))
        case Items(kind="set" | "list" | "either", items=(only,)), (Value() | Words()):
            return same_readings(only, (other,))
        case Digits(), Value():
            return _same_fraction(one, other)
        case _:
            return False


def _same_quantity(one: Value, other: Value) -> bool:
    if one.unit and other.unit and not same_unit(one.unit, other.unit):
        ratio = factor(one.unit, other.unit)
        return ratio is not None and _same_tree(("mul", one.tree, _exact(ratio)), other.tree)
    if _same_tree(one.tree, other.tree):
        if one.unit and other.unit and is_known(one.unit) and is_known(other.unit):
            return factor(one.unit, other.unit) in (None, 1)
        return True
    if one.unit == "%" and not other.unit:
        return _same_tree(("div", one.tree, ("number", "100")), other.tree)
    if other.unit == "%" and not one.unit:
        return _same_tree(("div", other.tree, ("number", "100")), one.tree)
    return False


def _exact(value: Fraction) -> Tree:
    return ("div", ("number", str(value.numerator)), ("number", str(value.denominator)))


def _same_tree(one: Tree, other: Tree) -> bool:
    """Equal values; the case of letters does not matter, unless one expression uses both cases of a letter."""
    if same_value(one, other):
        return True
    names = symbols(one) | symbols(other)
    folded = symbols(_folded(one)) | symbols(_folded(other))
    mixed = any(len({name.lower() for name in symbols(tree)}) < len(symbols(tree)) for tree in (one, other))
    if mixed or folded == names:
        return False
    return bool(same_value(_folded(one), _folded(other)))


def _folded(tree: Tree) -> Tree:
    if tree[0] == "symbol":
        name = tree[1].lower()
        return ("constant", name) if name in ("e", "i") else ("symbol", name)
    return tuple(_folded(part) if isinstance(part, tuple) else part for part in tree)


def _same_items(one: Items, other: Items) -> bool:
    kinds = {one.kind, other.kind}
    if kinds in ({"tuple", "set"}, {"tuple", "either"}):
        return False
    if "tuple" in kinds:
        return len(one.items) == len(other.items) and all(map(same_readings, one.items, other.items))
    left, right = one.items, other.items
    if "set" in kinds:
        left, right = _distinct(left), _distinct(right)
    return _paired(left, right, same_readings)


def _distinct(items: tuple[Readings, ...]) -> tuple[Readings, ...]:
    found: list[Readings] = []
    for item in items[:_MANY]:
        if not any(same_readings(item, earlier) for earlier in found):
            found.append(item)
    return tuple(found)


def _paired(left: Sequence[T], right: Sequence[T], same: Callable[[T, T], bool]) -> bool:
    """Whether each item of the one has a partner of its own in the other, in any order."""
    if len(left) != len(right) or len(left) > _MANY:
        return False
    rest = list(right)
    for item in left:
        partner = next((index for index, candidate in enumerate(rest) if same(item, candidate)), None)
        if partner is None:
            return False
        del rest[partner]
    return True


def _same_name(one: str, other: str) -> bool:
    """Whether two names are the same: the variable of a function does not matter, and `y` may be any `f(x)`."""
    functions = [_FUNCTION.fullmatch(name) for name in (one, other)]
    first, second = functions
    if first and second:
        return first[1].lower() == second[1].lower()
    if first or second:
        return "y" in (one, other) and "x" in [match[2] for match in functions if match]
    return one.lower() == other.lower()


def _renamed(named: Named) -> Readings:
    """The values of a function, with its variable called x."""
    match = _FUNCTION.fullmatch(named.name)
    if match is None:
        return named.value
    return tuple(
        replace(shape, tree=_substituted(shape.tree, match[2])) if isinstance(shape, Value) else shape
        for shape in named.value
    )


def _substituted(tree: Tree, name: str) -> Tree:
    if tree == ("symbol", name):
        return ("symbol", "x")
    return tuple(_substituted(part, name) if isinstance(part, tuple) else part for part in tree)


def _same_variable(one: str, other: str) -> bool:
    return not one or not other or one == other


def _same_relation(one: Relation, other: Relation) -> bool:
    sign = proportional(("sub", one.left, one.right), ("sub", other.left, other.right))
    if sign is None:
        return False
    return other.sign == (one.sign if sign > 0 else _FLIPPED.get(one.sign, one.sign))


def _same_piece(one: Piece, other: Piece) -> bool:
    return (
        (one.low_closed, one.high_closed) == (other.low_closed, other.high_closed)
        and _same_tree(one.low, other.low)
        and _same_tree(one.high, other.high)
    )


def _same_digits(one: Digits, other: Digits) -> bool:
    if len(one.parts) != len(other.parts):
        return False
    if one.is_time and other.is_time:
        halves = {half for half in (one.half, other.half) if half}
        return len(halves) < 2 and all(map(_same_tree, one.parts, other.parts))
    return all(
        _same_tree(("mul", left, other.parts[0]), ("mul", right, one.parts[0]))
        for left, right in zip(one.parts[1:], other.parts[1:], strict=True)
    )


def _same_fraction(ratio: Digits, value: Value) -> bool:
    """Whether 1:2 is a half."""
    return len(ratio.parts) == 2 and not ratio.half and not value.unit and _same_tree(("div", *ratio.parts), value.tree)


def _same_rows(one: Matrix, other: Matrix) -> bool:
    if [len(row) for row in one.rows] != [len(row) for row in other.rows]:
        return False
    return all(
        same_readings(left, right)
        for rows in zip(one.rows, other.rows, strict=True)
        for left, right in zip(*rows, strict=True)
    )
