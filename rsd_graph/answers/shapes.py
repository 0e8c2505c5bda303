r"""Read an answer as what it is: words, a number, a list, a tuple, a set, an interval, an equation.

A text can have several readings (`(1,2)` is a point and an interval, `9 chickens and 10 rabbits` two numbers); two
answers are the same when one reading of the one is the same as one of the other. `matching.py` compares them.
"""

import re
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from typing import TypeAlias

from rsd_graph.answers.expressions import Tree, read_expression
from rsd_graph.answers.parts import is_enclosed, split_at, split_list, split_relation
from rsd_graph.answers.spelling import SET_CLOSE, SET_OPEN
from rsd_graph.answers.units import factor, split_compound, split_mark, split_unit
from rsd_graph.answers.values import number, same_value, symbols
from rsd_graph.answers.words import may_be_product, read_choice, read_number, read_words

LONGEST = 2000  # characters; a longer answer is only compared as text
_DEPTH = 6


@dataclass(frozen=True)
class Text:
    """The spelling itself, without spaces: what nothing else can read."""

    text: str


@dataclass(frozen=True)
class Words:
    """An answer in words."""

    text: str


@dataclass(frozen=True)
class Choice:
    """A letter of a multiple-choice question; `rest` are the readings of the text after it."""

    letter: str
    rest: tuple["Shape", ...]


@dataclass(frozen=True)
class Value:
    """An expression, with its unit."""

    tree: Tree
    unit: str = ""


@dataclass(frozen=True)
class Items:
    """Several answers: a `list` as written, a `tuple` in order, or a `set`. Each item is its readings."""

    kind: str
    items: tuple[tuple["Shape", ...], ...]


@dataclass(frozen=True)
class Named:
    """A name and what it is: `x = 5`, `f(x) = 2x`."""

    name: str
    value: tuple["Shape", ...]


@dataclass(frozen=True)
class Relation:
    """An equation or inequality between two expressions."""

    sign: str
    left: Tree
    right: Tree


@dataclass(frozen=True)
class Piece:
    """An interval: its ends, and whether they belong to it."""

    low: Tree
    high: Tree
    low_closed: bool
    high_closed: bool


@dataclass(frozen=True)
class Region:
    """A union of intervals, of a variable if one is named."""

    pieces: tuple[Piece, ...]
    variable: str = ""


@dataclass(frozen=True)
class Digits:
    """Numbers between colons: a ratio, or a time of day."""

    parts: tuple[Tree, ...]
    is_time: bool
    half: str = field(default="")


@dataclass(frozen=True)
class Matrix:
    """Rows of entries."""

    rows: tuple[tuple[tuple["Shape", ...], ...], ...]


Shape: TypeAlias = Text | Words | Choice | Value | Items | Named | Relation | Region | Digits | Matrix

INFINITY: Tree = ("constant", "∞")
MINUS_INFINITY: Tree = ("neg", INFINITY)
_FLIPPED = {"<": ">", ">": "<", "≤": "≥", "≥": "≤"}
_NAME = re.compile(
    r"(?:[∠△]\s*)?(?:\\(?:overline|bar|max|min|mathbf|vec)\s*)?\{?[A-Za-zα-ωΑ-Ω]{1,4}'*\}?(?:\s*_\s*(?:\{[^{}]*\}|\w))?"
    r"(?:\s*\(\s*[A-Za-zα-ω](?:\s*,\s*[A-Za-zα-ω])*\s*\)|\^\{-1\}\s*\(\s*[A-Za-z]\s*\))?|(?:[fghFGHPEV]|Pr|Var)\s*[(\[][^()\[\]]*[)\]]"
)
_VARIABLE = re.compile(r"[A-Za-zα-ωΑ-Ω](?:_(?:\{\w+\}|\w))?")
_MAGNITUDE = re.compile(r"\|\s*([A-Za-zα-ω])\s*\|")
_LABEL = re.compile(r"(?:(?:the|final|correct)\s+)*answer\s*(?:is|:|=)\s*:?\s*", re.IGNORECASE)
_BLANK = re.compile(r"[{}]|(?<!\d)\s+|\s+(?!\d)")  # two numbers side by side are not one
_ABOUT = re.compile(
    r"(?:≈|about|approximately|approx\.?|roughly|around|exactly|just|only)\s*(?=[-\d$\\])", re.IGNORECASE
)
_LABELLED = re.compile(r"([A-Za-z][A-Za-z ]{2,40}):\s*(.+)", re.DOTALL)
_RATIO_IN_WORDS = re.compile(r"(\d+)\s+to\s+(\d+)")
_LETTERS = re.compile(r"[A-J]{2,6}")  # several choices
_CLOCK = re.compile(r"(\d{1,2}):([0-5]\d)(?::([0-5]\d))?\s*([AaPp])?\.?\s*(?:[Mm])?\.?")
_MATRIX = re.compile(
    r"[(\[|]?\s*\\begin\s*\{([pbvBV]?matrix|array)\}(?:\{[^{}]*\})?(?P<rows>.*)\\end\s*\{\1\}\s*[)\]|]?", re.DOTALL
)
_THOUSANDS = re.compile(r"(?<![\d.,])(\d{1,3}(?:,\d{3})+)(?![\d,])")
_SLASH = re.compile(r"^(\d+)/(\d+)$")
_SIGN_PAIRS = (("±", "+", "∓", "-"), ("±", "-", "∓", "+"))
_BUILDER = re.compile(r"\s*(?P<variable>[A-Za-zα-ω](?:_\w)?)\s*(?:∈\s*ℝ\s*)?[|:]\s*(?P<rest>.+)", re.DOTALL)
_MEMBER = re.compile(r"(?P<variable>[A-Za-zα-ω](?:_(?:\{\w+\}|\w))?)\s*∈\s*(?P<rest>.+)", re.DOTALL)


def read(text: str, depth: int = 0) -> tuple[Shape, ...]:
    """All readings of a text in the one spelling."""
    text = _LABEL.sub("", text, count=1) if _LABEL.match(text) else text
    text = _unwrapped(_ABOUT.sub("", text.strip(), count=1) if _ABOUT.match(text.strip()) else text.strip())
    if not text:
        return ()
    found: list[Shape] = [Text(_BLANK.sub("", text).lower())]
    if depth > _DEPTH or len(text) > LONGEST:
        return tuple(found)
    if choice := read_choice(text):
        found.append(Choice(choice.letter, read(choice.rest, depth + 1)))
        if choice.rest:
            return tuple(found)
    if words := read_words(text):
        found.append(Words(words))
        if _LETTERS.fullmatch(text):
            found.append(Items("tuple", tuple(read(letter, depth + 1) for letter in text)))
        if digits := read_number(words):
            return (*found, *_value(digits))
        if words in ("no solution", "empty set"):
            found.append(Items("set", ()))
        if words == "all real numbers":
            found.append(Region((Piece(MINUS_INFINITY, INFINITY, False, False),)))
        if not may_be_product(text) and not (depth and len(text.split()) == 1 and split_list(text)[1]):
            return tuple(found)
    found += _structures(text, depth)
    return tuple(found)


def _structures(text: str, depth: int) -> list[Shape]:
    """What is more than a single value first; a value if it is nothing else."""
    if "…" in text or "≡" in text or "\\pmod" in text:  # no value: only the spelling counts
        return _dotted(text)
    for reader in (_compound, _matrix, _digits, _signs, _region, _list, _set, _relations):
        if shapes := reader(text, depth):
            return [*shapes, *(_bracketed(text, depth) if reader is _region else [])]
    return _bracketed(text, depth) or _value(text)


def _dotted(text: str) -> list[Shape]:
    """`0.333…`: a decimal whose end repeats at least three times."""
    match = re.fullmatch(r"(\d*\.\d*?)(\d{1,6}?)\2\2\2*…", text)
    return [Value(("repeating", match[1], match[2]))] if match else []


def _unwrapped(text: str) -> str:
    """Without grouping braces around the whole."""
    while text.startswith("{") and is_enclosed(text) and text[1:-1].strip():
        text = text[1:-1].strip()
    return text


def _compound(text: str, depth: int) -> list[Shape]:
    """`5 feet 6 inches` as one length; `5 feet and 6 inches` as a list too."""
    amounts = split_compound(text)
    if not amounts:
        return []
    total = sum(Fraction(amount.value) * (factor(amount.unit, amounts[0].unit) or 0) for amount in amounts)
    tree = ("div", ("number", str(total.numerator)), ("number", str(total.denominator)))
    return [Value(tree, amounts[0].unit), *_list(text, depth)]


def _matrix(text: str, depth: int) -> list[Shape]:
    match = _MATRIX.fullmatch(text)
    if match is None:
        return []
    rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?|\\cr", match["rows"]) if row.strip()]
    entries = tuple(tuple(read(entry, depth + 1) for entry in row.split("&")) for row in rows)
    if match[1] == "vmatrix":
        return []
    flat = tuple(entry for row in entries for entry in row)
    if all(len(row) == 1 for row in entries):
        return [Matrix(entries), Items("tuple", flat)]
    return [Matrix(entries), Items("tuple", tuple((Items("tuple", row),) for row in entries))]


def _digits(text: str, depth: int) -> list[Shape]:
    text = _RATIO_IN_WORDS.sub(r"\1:\2", text) if _RATIO_IN_WORDS.fullmatch(text) else text
    if ":" not in text or "|" in text:
        return []
    if label := _LABELLED.fullmatch(text):
        return [Named(label[1].strip().lower(), read(label[2], depth + 1))]
    if clock := _CLOCK.fullmatch(text):
        parts = tuple(("number", part) for part in clock.groups()[:3] if part)
        return [Digits(parts, True, (clock[4] or "").lower())]
    trees = [read_expression(part) for part in split_at(text, ":")]
    known = tuple(tree for tree in trees if tree is not None)
    return [Digits(known, False)] if len(known) == len(trees) > 1 else []


def _signs(text: str, depth: int) -> list[Shape]:
    """`1 ± 2` as the list of both."""
    if "±" not in text or len(split_list(text)[0]) > 1:
        return []
    both = [text.replace(a, b).replace(c, d) for a, b, c, d in _SIGN_PAIRS]
    names = [split_relation(one) for one in both]
    if all(len(parts) == 2 and _NAME.fullmatch(parts[0]) for parts, _ in names):
        values = tuple(read(parts[1], depth + 1) for parts, _ in names)
        return [Named(_name(names[0][0][0]), (Items("list", values),))]
    return [Items("list", tuple(read(one, depth + 1) for one in both))]


def _list(text: str, depth: int) -> list[Shape]:
    parts, separators = split_list(text)
    if len(parts) < 2:
        return []
    found: list[Shape] = []
    if separators == {","} and _THOUSANDS.fullmatch(text.removeprefix("-")) or re.fullmatch(r"-?0,\d+", text):
        plain = text.replace(",", ".") if text.removeprefix("-").startswith("0,") else text.replace(",", "")
        found += _value(plain)
    if "," in separators and any(map(_THOUSANDS.search, [text])):
        without = _THOUSANDS.sub(lambda match: match[1].replace(",", ""), text)
        found += _structures(without, depth + 1) if "," not in without or depth < _DEPTH else []
    if separators <= {"and", "&"} and len(parts) == 2 and parts[0].isdecimal():
        found += [shape for shape in _value(parts[0] + _SLASH.sub(r"\\frac{\1}{\2}", parts[1])) if _is_mixed(shape)]
    if found and any(re.match(r"0\d", part) for part in parts[1:]):
        return found  # 1,000 is one number
    return [*found, *_items(parts, depth)]


def _is_mixed(shape: Shape) -> bool:
    return isinstance(shape, Value) and shape.tree[0] == "add" and shape.tree[1][0] == "number"


def _items(parts: list[str], depth: int) -> list[Shape]:
    """A list; one of equations for one variable is a list of its values, one of several variables is a tuple too."""
    shapes = [read(part, depth + 1) for part in parts]
    names = [next((shape for shape in readings if isinstance(shape, Named)), None) for readings in shapes]
    first = names[0]
    if first and all(name is None or name.name == first.name for name in names):
        values = [name.value if name else readings for name, readings in zip(names, shapes, strict=True)]
        return [Named(first.name, (Items("list", _flat(values)),))]
    found: list[Shape] = [Items("list", _flat(shapes))]
    known = [name for name in names if name is not None]
    if len(known) == len(names) and len({name.name for name in known}) == len(known):
        found.append(Items("tuple", tuple(name.value for name in known)))
    return found


def _flat(items: list[tuple[Shape, ...]]) -> tuple[tuple[Shape, ...], ...]:
    """The items, where a `±` is two."""
    flat: list[tuple[Shape, ...]] = []
    for readings in items:
        pair = next((shape for shape in readings if isinstance(shape, Items) and shape.kind == "list"), None)
        flat += pair.items if pair else [readings]
    return tuple(flat)


def _set(text: str, depth: int) -> list[Shape]:
    if text in ("∅", SET_OPEN + SET_CLOSE):
        return [Items("set", ())]
    if not (text.startswith((SET_OPEN, "{")) and is_enclosed(text)):
        return []
    parts, _ = split_list(text[1:-1])
    return [Items("set", _flat([read(part, depth + 1) for part in parts]))]


def _bracketed(text: str, depth: int) -> list[Shape]:
    """A tuple or a vector."""
    if not (text[0] in "([⟨" and is_enclosed(text)):
        return []
    parts, _ = split_list(text[1:-1])
    if len(parts) < 2 or (text[0], text[-1]) not in (("(", ")"), ("[", "]"), ("⟨", "⟩")):
        return []
    if text[0] == "[" and len(parts) == 2 and _region(text, depth):
        return []  # an interval, and no point
    return [Items("tuple", tuple(read(part, depth + 1) for part in parts))]


def _relations(text: str, depth: int) -> list[Shape]:
    member = _MEMBER.fullmatch(text)
    if member:
        value = read(member["rest"], depth + 1)
        return [Named(member["variable"], tuple(shape for shape in value if not isinstance(shape, Text)))]
    sides, signs = split_relation(text)
    if not signs or not all(sides):
        return []
    found: list[Shape] = []
    if set(signs) == {"="}:
        found += _named(sides, depth)
        if len(sides) > 2 and not found:
            return []
    trees = [read_expression(side) for side in (sides[0], sides[-1])]
    if len(sides) == 2 and trees[0] and trees[1]:
        found.append(Relation(signs[0], trees[0], trees[1]))
    return found


def _carried_out(sides: list[str]) -> Value | None:
    """The value of `2 + 3 = 5`, if that is right."""
    trees = [read_expression(side) for side in sides]
    known = [tree for tree in trees if tree is not None and not symbols(tree)]
    if len(known) == len(trees) and all(same_value(known[0], tree) for tree in known[1:]):
        return Value(known[-1])
    return None


def _named(sides: list[str], depth: int) -> list[Shape]:
    """`x = 5`, `5 = x`, `x = 2 + 3 = 5`; a sum that is carried out, `2 + 3 = 5`, is its last side."""
    if len(sides) == 2 and _NAME.fullmatch(sides[1]) and not _NAME.fullmatch(sides[0]):
        sides = [sides[1], sides[0]]
    if _NAME.fullmatch(sides[0]) or (is_enclosed(sides[0]) and _bracketed(sides[0], depth)):
        value = read(sides[-1], depth + 1)
        return [Named(_name(sides[0]), tuple(shape for shape in value if not isinstance(shape, Text)))]
    if value := _carried_out(sides):
        return [value]
    words = read_words(sides[0])
    if words and not may_be_product(sides[0]):
        return [Named(words, read(sides[-1], depth + 1))]
    return []


def _name(text: str) -> str:
    return re.sub(r"[\s{}\\]", "", text)


def _region(text: str, depth: int) -> list[Shape]:
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
    text = _unwrapped(text)
    if text == "ℝ":
        return Region((Piece(MINUS_INFINITY, INFINITY, False, False),))
    if text.replace(" ", "").startswith("ℝ∖"):
        return _without_points(text.split("∖", 1)[1].strip())
    if text.startswith(SET_OPEN) and is_enclosed(text):
        builder = _BUILDER.fullmatch(text[1:-1])
        if builder is None:
            return None
        inner = _region(builder["rest"].strip(), _DEPTH)
        return next((replace(shape, variable="") for shape in inner if isinstance(shape, Region)), None)
    if member := _MEMBER.fullmatch(text):
        inner = _region(member["rest"].strip(), _DEPTH)
        return next((replace(shape, variable=member["variable"]) for shape in inner if isinstance(shape, Region)), None)
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
    ends = split_at(text[1:-1], ",;")
    trees = [read_expression(end) for end in ends]
    if len(trees) != 2 or trees[0] is None or trees[1] is None:
        return None
    low, high = trees
    first, second = number(low), number(high)
    if first is not None and second is not None and not first < second:
        return None
    return Region((Piece(low, high, text[0] == "[", text[-1] == "]"),))


def _inequality(text: str) -> Region | None:
    sides, signs = split_relation(text)
    if len(sides) == 2 and signs[0] in (*_FLIPPED, "≠"):
        left, right = sides
        if magnitude := _MAGNITUDE.fullmatch(left):
            return _magnitude(magnitude[1], signs[0], read_expression(right))
        if _VARIABLE.fullmatch(right) and not _VARIABLE.fullmatch(left):
            left, right, signs = right, left, [_FLIPPED.get(signs[0], signs[0])]
        bound = read_expression(right)
        if bound is None or not _VARIABLE.fullmatch(left):
            return None
        below = Piece(MINUS_INFINITY, bound, False, signs[0] == "≤")
        above = Piece(bound, INFINITY, signs[0] == "≥", False)
        return Region({"<": (below,), "≤": (below,), "≠": (below, above)}.get(signs[0], (above,)), left)
    if len(sides) == 3 and _VARIABLE.fullmatch(sides[1]):
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


def _value(text: str) -> list[Shape]:
    found: list[Shape] = []
    tree = read_expression(text)
    if quantity := split_mark(text) or split_unit(text):
        inner = read_expression(quantity.value)
        if inner:
            found.append(Value(inner, quantity.unit))
    if tree and not (found and text[-1] in "%°"):
        found.append(Value(tree))
    return found
