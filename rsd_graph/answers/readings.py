r"""Read an answer as what it is.

A text can have several readings (`(1,2)` is a point and an interval, `9 chickens and 10 rabbits` two numbers); two
answers are the same when one reading of the one is the same as one of the other. `matching.py` compares them.
"""

import re
from fractions import Fraction

from rsd_graph.answers.expressions import read_expression, symbols
from rsd_graph.answers.parts import is_enclosed, split_at, split_list, split_relation, unwrapped
from rsd_graph.answers.regions import MEMBER, read_region
from rsd_graph.answers.shapes import (
    INFINITY,
    MINUS_INFINITY,
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
    Text,
    Value,
    Words,
)
from rsd_graph.answers.spelling import SET_OPEN
from rsd_graph.answers.units import factor, split_compound, split_mark, split_unit
from rsd_graph.answers.values import same_value
from rsd_graph.answers.words import may_be_product, read_choice, read_number, read_words

LONGEST = 2000  # characters; a longer answer is only compared as text
_DEPTH = 6
_NAME = re.compile(
    r"(?:[∠△]\s*)?(?:\\(?:overline|bar|max|min|mathbf|vec)\s*)?\{?[A-Za-zα-ωΑ-Ω]{1,4}'*\}?(?:\s*_\s*(?:\{[^{}]*\}|\w))?"
    r"(?:\s*\(\s*[A-Za-zα-ω](?:\s*,\s*[A-Za-zα-ω])*\s*\)|\^\{-1\}\s*\(\s*[A-Za-z]\s*\))?|(?:[fghFGHPEV]|Pr|Var)\s*[(\[][^()\[\]]*[)\]]"
)
_LABEL = re.compile(r"(?:(?:the|final|correct)\s+)*answer\s*(?:is|:|=)\s*:?\s*", re.IGNORECASE)
_BLANK = re.compile(r"\{\}|(?<!\d)\s+|\s+(?!\d)")  # two numbers side by side are not one
_BARE = re.compile(r"([\^_])(\d+|[^\W\d_])")  # an exponent or an index without braces
_ABOUT = re.compile(
    r"(?:≈|about|approximately|approx\.?|roughly|around|exactly|just|only)\s*(?=[-\d$\\])", re.IGNORECASE
)
_REMARK = re.compile(r"^(?:=|\\therefore|∴)\s*|(?<=[\d}%°])\s+\([A-Za-z ]{3,}\)$")
_LABELLED = re.compile(r"([A-Za-z][A-Za-z ]{2,40}):\s*(.+)", re.DOTALL)
_RATIO_IN_WORDS = re.compile(r"(\d+)\s+to\s+(\d+)")
_LETTERS = re.compile(r"[A-J]{2,6}")  # several choices
_CLOCK = re.compile(r"(\d{1,2}):([0-5]\d)(?::([0-5]\d))?\s*([AaPp])?\.?\s*(?:[Mm])?\.?")
_MATRIX = re.compile(
    r"[(\[|]?\s*\\begin\s*\{([pbvBV]?matrix|array)\}(?:\{[^{}]*\})?(?P<rows>.*)\\end\s*\{\1\}\s*[)\]|]?", re.DOTALL
)
_THOUSANDS = re.compile(r"(?<![\d.,])(\d{1,3}(?:,\d{3})+)(?!\d|,\d)")
_NO_VALUE = re.compile(
    r"[…≡]|(?<![A-Za-z])[pb]?mod(?![A-Za-z])|^\d{4}-\d{1,2}-\d{1,2}$"
)  # dots, residue classes, dates
_SLASH = re.compile(r"^(\d+)/(\d+)$")
_SIGN_PAIRS = (("±", "+", "∓", "-"), ("±", "-", "∓", "+"))


def read(text: str, depth: int = 0) -> Readings:
    """All readings of a text in the one spelling."""
    text = _LABEL.sub("", text, count=1) if _LABEL.match(text) else text
    text = _REMARK.sub("", text.strip())
    text = unwrapped(_ABOUT.sub("", text, count=1) if _ABOUT.match(text) else text)
    if not text:
        return ()
    found: list[Shape] = [Text(_BARE.sub(r"\1{\2}", _BLANK.sub("", text)).lower())]
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
        if not may_be_product(text):
            parts = split_list(text)[0]
            return (*found, *(_items(parts, "list", depth) if len(parts) > 1 else []))
    found += _structures(text, depth)
    return tuple(found)


def _structures(text: str, depth: int) -> list[Shape]:
    """What is more than a single value first; a value if it is nothing else."""
    if _NO_VALUE.search(text):  # only the spelling counts
        return _dotted(text)
    for reader in (_compound, _matrix, _colons, _signs, _region, _list, _set, _relations):
        if shapes := reader(text, depth):
            return shapes
    return _bracketed(text, depth) or _value(text)


def _dotted(text: str) -> list[Shape]:
    """`0.333…`: a decimal whose end repeats at least three times."""
    match = re.fullmatch(r"(\d*\.\d*?)(\d{1,6}?)\2\2\2*…", text)
    return [Value(("repeating", match[1], match[2]))] if match else []


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
    if len(entries) == 1 or all(len(row) == 1 for row in entries):
        return [Matrix(entries), Items("tuple", flat)]
    return [Matrix(entries), Items("tuple", tuple((Items("tuple", row),) for row in entries))]


def _colons(text: str, depth: int) -> list[Shape]:
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
    if "±" not in text or len(split_list(text)[0]) > 1 or (is_enclosed(text) and len(split_list(text[1:-1])[0]) > 1):
        return []
    both = [text.replace(a, b).replace(c, d) for a, b, c, d in _SIGN_PAIRS]
    names = [split_relation(one) for one in both]
    if all(len(parts) == 2 and _NAME.fullmatch(parts[0]) for parts, _ in names):
        values = tuple(read(parts[1], depth + 1) for parts, _ in names)
        return [Named(_name(names[0][0][0]), (Items("either", values),))]
    return [Items("either", tuple(read(one, depth + 1) for one in both))]


def _region(text: str, depth: int) -> list[Shape]:
    """A region of the number line; `(1, 2)` is a point too."""
    regions = read_region(text)
    return [*regions, *_bracketed(text, depth)] if regions else []


def _list(text: str, depth: int) -> list[Shape]:
    parts, separators = split_list(text)
    if len(parts) < 2:
        return []
    found: list[Shape] = []
    if re.fullmatch(r"-?0,\d+", text):  # a decimal comma
        found += _value(text.replace(",", "."))
    if "," in separators and depth < _DEPTH and _THOUSANDS.search(text):
        found += _structures(_THOUSANDS.sub(lambda match: match[1].replace(",", ""), text), depth + 1)
    if separators <= {"and", "&"} and len(parts) == 2 and parts[0].isdecimal():
        found += [shape for shape in _value(parts[0] + _SLASH.sub(r"\\frac{\1}{\2}", parts[1])) if _is_mixed(shape)]
    if found and any(re.match(r"0\d", part) for part in parts[1:]):
        return found  # 1,000 is one number
    return [*found, *_items(parts, "either" if "or" in separators else "list", depth)]


def _is_mixed(shape: Shape) -> bool:
    return isinstance(shape, Value) and shape.tree[0] == "add" and shape.tree[1][0] == "number"


def _items(parts: list[str], kind: str, depth: int) -> list[Shape]:
    """A list; one of equations for one variable is a list of its values, one of several variables is a tuple too."""
    shapes = [read(part, depth + 1) for part in parts]
    names = [next((shape for shape in readings if isinstance(shape, Named)), None) for readings in shapes]
    first = names[0]
    if first and all(name is None or name.name == first.name for name in names):
        values = [name.value if name else readings for name, readings in zip(names, shapes, strict=True)]
        return [Named(first.name, (Items("either", _flat(values)),))]
    found: list[Shape] = [Items(kind, _flat(shapes))]
    known = [name for name in names if name is not None]
    if len(known) == len(names) and len({name.name for name in known}) == len(known):
        found.append(Items("tuple", tuple(name.value for name in known)))
    return found


def _flat(items: list[Readings]) -> tuple[Readings, ...]:
    """The items, where a `±` is two."""
    flat: list[Readings] = []
    for readings in items:
        pair = next((shape for shape in readings if isinstance(shape, Items) and shape.kind == "either"), None)
        flat += pair.items if pair else [readings]
    return tuple(flat)


def _set(text: str, depth: int) -> list[Shape]:
    if text == "∅":
        return [Items("set", ())]
    members: list[Readings] = []
    for part in split_at(text, "∪"):
        if not (part.startswith((SET_OPEN, "{")) and is_enclosed(part)):
            return []
        members += _flat([read(member, depth + 1) for member in split_list(part[1:-1])[0]])
    return [Items("set", tuple(members))]


def _bracketed(text: str, depth: int) -> list[Shape]:
    """A tuple or a vector."""
    if not (text[0] in "([⟨" and is_enclosed(text)):
        return []
    inner = _THOUSANDS.sub(lambda match: match[1].replace(",", ""), text[1:-1]) if ", " in text else text[1:-1]
    parts, _ = split_list(inner)
    if len(parts) < 2 or (text[0], text[-1]) not in (("(", ")"), ("[", "]"), ("⟨", "⟩")):
        return []
    if text[0] == "[" and len(parts) == 2 and read_region(text):
        return []  # an interval, and no point
    return [Items("tuple", tuple(read(part, depth + 1) for part in parts))]


def _relations(text: str, depth: int) -> list[Shape]:
    member = MEMBER.fullmatch(text)
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
    if carried_out := _carried_out(sides):
        return [carried_out]
    words = read_words(sides[0])
    if words and not may_be_product(sides[0]):
        return [Named(words, read(sides[-1], depth + 1))]
    return []


def _name(text: str) -> str:
    return re.sub(r"[\s{}\\]", "", text)


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
