r"""Read intervals and inequalities in one variable: `(2, 3]`, `x > 2`, `1 < x or x < 0`, `\{x : x > 2\}`.

All are regions of the number line, so an inequality is the same as the interval that it describes. An interval names
no variable; two inequalities must name the same.
"""

import re
from dataclasses import replace
from itertools import pairwise

from rsd_graph.answers.expressions import Tree, read_expression
from rsd_graph.answers.parts import is_enclosed, split_at, split_list, split_relation, unwrapped
from rsd_graph.answers.shapes import INFINITY, MINUS_INFINITY, Piece, Region
from rsd_graph.answers.spelling import SET_OPEN
from rsd_graph.answers.values import number

MEMBER = re.compile(r"(?P<variable>[A-Za-zα-ω](?:_(?:\{\w+\}|\w))?)\s*∈\s*(?P<rest>.+)", re.DOTALL)
_FLIPPED = {"<": ">", ">": "<", "≤": "≥", "≥": "≤"}
_VARIABLE = re.compile(r"[A-Za-zα-ωΑ-Ω](?:_(?:\{\w+\}|\w))?")
_BUILDER = re.compile(r"\s*(?P<variable>[A-Za-zα-ω](?:_\w)?)\s*(?:∈\s*ℝ\s*)?[|:]\s*(?P<rest>.+)", re.DOTALL)
_MAGNITUDE = re.compile(r"\|\s*([A-Za-zα-ω])\s*\|")


def read_region(text: str) -> list[Region]:
    """Intervals and inequalities in one variable, and their unions."""
    parts = split_at(text, "∪")
    connectives: set[str] = set()
    if len(parts) == 1:
        if single := _simple_region(text):
            return [single]
        parts, connectives = split_list(text)
        if len(parts) > 1 and not all(_has_relation(part) for part in parts):
            return []
    regions = [_simple_region(part) for part in parts]
    known = [region for region in regions if region is not None]
    if not known or len(known) < len(regions):
        return []
    variables = {region.variable for region in known if region.variable}
    if len(variables) > 1:
        return []
    variable = variables.pop() if variables else ""
    if "and" in connectives or (connectives == {","} and len(known) == 2):
        both = _intersection([piece for region in known for piece in region.pieces])
        if both:
            return [Region((both,), variable)]
    return [Region(tuple(piece for region in known for piece in region.pieces), variable)]


def _has_relation(text: str) -> bool:
    return any(sign in text for sign in "<>≤≥≠∈")


def _intersection(pieces: list[Piece]) -> Piece | None:
    """A half line to the left and one to the right, as an interval."""
    if len(pieces) != 2:
        return None
    below = [piece for piece in pieces if piece.low == MINUS_INFINITY]
    above = [piece for piece in pieces if piece.high == INFINITY]
    if len(below) == len(above) == 1 and below != above:
        low, high = number(above[0].low), number(below[0].high)
        if low is None or high is None or low <= high:
            return Piece(above[0].low, below[0].high, above[0].low_closed, below[0].high_closed)
    return None


def _simple_region(text: str) -> Region | None:
    text = unwrapped(text)
    if text == "ℝ":
        return Region((Piece(MINUS_INFINITY, INFINITY, False, False),))
    if text.replace(" ", "").startswith("ℝ∖"):
        return _without_points(text.split("∖", 1)[1].strip())
    if text.startswith(SET_OPEN) and is_enclosed(text):
        builder = _BUILDER.fullmatch(text[1:-1])
        if builder is None:
            return None
        inner = read_region(builder["rest"].strip())
        return replace(inner[0], variable="") if inner else None
    if member := MEMBER.fullmatch(text):
        inner = read_region(member["rest"].strip())
        return replace(inner[0], variable=member["variable"]) if inner else None
    return _interval(text) or _inequality(text)


def _without_points(text: str) -> Region | None:
    """The real numbers without the points of a set."""
    if not (text.startswith(SET_OPEN) and is_enclosed(text)):
        return None
    trees = [read_expression(part) for part in split_list(text[1:-1])[0]]
    points = sorted((value, tree) for tree in trees if tree and (value := number(tree)) is not None)
    if not points or len(points) < len(trees):
        return None
    ends = [MINUS_INFINITY, *(tree for _, tree in points), INFINITY]
    return Region(tuple(Piece(low, high, False, False) for low, high in pairwise(ends)))


def _interval(text: str) -> Region | None:
    if not (text[:1] in ("(", "[", "]") and text[-1:] in (")", "]", "[")):
        return None
    trees = [read_expression(end) for end in split_at(text[1:-1], ",;")]
    ends = [tree for tree in trees if tree is not None]
    if len(trees) != 2 or len(ends) != 2:
        return None
    low, high = ends
    first, second = number(low), number(high)
    if first is not None and second is not None and not first < second:
        return None
    return Region((Piece(low, high, text[0] == "[", text[-1] == "]"),))


def _inequality(text: str) -> Region | None:
    sides, signs = split_relation(text)
    if len(sides) == 2 and signs[0] in (*_FLIPPED, "≠"):
        return _one_sided(sides[0], signs[0], sides[1])
    if len(sides) == 3 and _VARIABLE.fullmatch(sides[1]):
        return _two_sided(sides, signs)
    return None


def _one_sided(left: str, sign: str, right: str) -> Region | None:
    if magnitude := _MAGNITUDE.fullmatch(left):
        return _magnitude(magnitude[1], sign, read_expression(right))
    if _VARIABLE.fullmatch(right) and not _VARIABLE.fullmatch(left):
        left, right, sign = right, left, _FLIPPED.get(sign, sign)
    bound = read_expression(right)
    if bound is None or not _VARIABLE.fullmatch(left):
        return None
    below = Piece(MINUS_INFINITY, bound, False, sign == "≤")
    above = Piece(bound, INFINITY, sign == "≥", False)
    return Region({"<": (below,), "≤": (below,), "≠": (below, above)}.get(sign, (above,)), left)


def _two_sided(sides: list[str], signs: list[str]) -> Region | None:
    low, high = read_expression(sides[0]), read_expression(sides[2])
    if low is None or high is None:
        return None
    if set(signs) <= {"<", "≤"}:
        return Region((Piece(low, high, signs[0] == "≤", signs[1] == "≤"),), sides[1])
    if set(signs) <= {">", "≥"}:
        return Region((Piece(high, low, signs[1] == "≥", signs[0] == "≥"),), sides[1])
    return None


def _magnitude(variable: str, sign: str, bound: Tree | None) -> Region | None:
    """`|x| < 1`."""
    if bound is None or sign == "≠":
        return None
    below, closed = ("neg", bound), sign in "≤≥"
    if sign in "<≤":
        return Region((Piece(below, bound, closed, closed),), variable)
    return Region((Piece(MINUS_INFINITY, below, False, closed), Piece(bound, INFINITY, closed, False)), variable)
