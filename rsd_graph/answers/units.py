"""Units and other words after a number: `5 cm`, `12 people`, `28%`, `18 dollars`.

A number without a unit equals the same number with any unit: the question names it. Two units must be the same
quantity; nouns that are no known unit must share a word. A word that changes the meaning (`10 to 20`, `at least 6`,
`2 is not the answer`) is no unit.
"""

import re
from fractions import Fraction
from typing import NamedTuple

_LENGTH, _MASS, _TIME, _VOLUME, _MONEY = "length", "mass", "time", "volume", "money"
_UNITS: dict[str, tuple[str, Fraction]] = {}


def _define(dimension: str, table: dict[str, str | int]) -> None:
    for names, factor in table.items():
        for name in names.split():
            _UNITS[name] = (dimension, Fraction(factor))


_define(
    _LENGTH,
    {
        "mm millimeter millimetre": "0.001",
        "cm centimeter centimetre": "0.01",
        "dm decimeter": "0.1",
        "m meter metre": 1,
        "km kilometer kilometre": 1000,
        "in inch inches": "0.0254",
        "ft foot feet": "0.3048",
        "yd yard": "0.9144",
        "mi mile": "1609.344",
    },
)
_define(
    _MASS,
    {
        "mg milligram": "0.001",
        "g gram gm": 1,
        "kg kilogram kilo": 1000,
        "lb lbs pound": "453.59237",
        "oz ounce": "28.349523125",
    },
)
_define(
    _TIME,
    {"ms millisecond": "0.001", "s sec second": 1, "min minute": 60, "h hr hour": 3600, "day": 86400, "week": 604800},
)
_define(_VOLUME, {"ml mL milliliter millilitre": "0.001", "L l liter litre": 1})
_define(_MONEY, {"cent ¢": "0.01", "dollar USD": 1})
_define("angle", {"degree deg °": 1})
_define("percent", {"%": 1})
for _name in (
    "°C °F K N J W V A Hz Pa kPa mol ohm kmh kph mph rpm euro yen rupee radian rad sr turn year month am pm eV Ω μm nm "
    "kJ MJ kW MW T C F sq cubic square unit point times foot pounds"
).split():
    _UNITS.setdefault(_name, (_name, Fraction(1)))

_MEANING = frozenset(
    "is are was not no to or than least most between from if when then but nor plus minus over by "
    "at about with without of either both neither each every does do has have where for all any some other infinity "
    "mod modulo divided squared cubed half twice double until through except unless and remainder base power only per"
    " factorial halves thirds quarters fifths tenths hundredths root"
    " sqrt root log ln sin cos tan sec csc cot exp arcsin arccos arctan max min gcd lcm floor ceil abs".split()
)
_ALLOWED_BETWEEN = frozenset({"per", "of"})
_LETTER = r"(?:(?![α-λν-ωΑ-Ψ])[^\W\d_])"  # of any script; a Greek letter is a variable
_WORD = rf"{_LETTER}+\.?"
_FACTOR = rf"(?:{_WORD}|°[CF]?|%|¢)(?:\s?\^\{{?-?\d\}}?)?"
_TAIL = re.compile(
    rf"(?P<value>.*?[\d)\]}}!π∞°%])(?P<gap>\s*)"
    rf"(?P<unit>(?:1?\s?/\s?)?{_FACTOR}(?:\s?[*/·\- ]\s?\(?{_FACTOR}\)?){{0,5}})$",
    re.DOTALL,
)
_FRACTION_OF_UNITS = re.compile(rf"\\frac\s?\{{\s*({_FACTOR})\s*\}}\{{\s*({_FACTOR})\s*\}}$")
_SPLIT = re.compile(rf"{_FACTOR}")
_POWER = re.compile(r"\s?\^\{?(-?\d)\}?")
_SQUARE = re.compile(rf"\b(?:square|sq)\.?\s+({_LETTER}+)", re.IGNORECASE)
_CUBIC = re.compile(rf"\b(?:cubic|cu)\.?\s+({_LETTER}+)", re.IGNORECASE)
_AMOUNT = re.compile(rf"(\d+(?:\.\d+)?)\s*({_WORD})\s*(?:,|and)?\s*")
_TRIGONOMETRIC = re.compile(r"(?:cis|sin|cos|tan|cot|sec|csc)")
_LONGEST = 300


class Quantity(NamedTuple):
    """The text of a number, and the words after it."""

    value: str
    unit: str


def split_unit(text: str) -> Quantity | None:
    """The value and the unit of a text that ends in one."""
    if len(text) > _LONGEST:
        return None
    text = _FRACTION_OF_UNITS.sub(r" \1/\2", text)
    match = _TAIL.match(text)
    if match is None or _TRIGONOMETRIC.search(match["value"]):
        return None
    unit, value = match["unit"].strip(), match["value"]
    while value.endswith(("°", "%")):  # a mark that the value's pattern took
        value, unit = value[:-1], value[-1] + unit
    if not value or not _is_unit(unit, spaced=bool(match["gap"])):
        return None
    return Quantity(value, unit)


def split_compound(text: str) -> list[Quantity]:
    """The amounts of `5 feet 6 inches`: of one dimension, in more than one unit; else nothing."""
    amounts, at = [], 0
    while len(text) <= _LONGEST and (match := _AMOUNT.match(text, at)):
        amounts.append(Quantity(match[1], match[2]))
        at = match.end()
    known = [_known(amount.unit) for amount in amounts]
    dimensions = {unit[0] for unit in known if unit}
    if at < len(text) or None in known or len(dimensions) != 1 or len(set(known)) < 2:
        return []
    return amounts


def split_mark(text: str) -> Quantity | None:
    """The value and the sign of a text that ends in a percent or degree sign."""
    if len(text) > 1 and (text[-1] == "%" or (text[-1] == "°" and not _TRIGONOMETRIC.search(text))):
        return Quantity(text[:-1].strip(), text[-1])
    return None


def same_unit(one: str, other: str) -> bool:
    """Whether two units, the same unit or words for the same thing, can stand for each other."""
    if one == other or not one or not other:
        return True
    if is_known(one) or is_known(other):
        return [_known(part) or part for part in _parts(one)] == [_known(part) or part for part in _parts(other)]
    return bool({_stem(part) for part in _parts(one)} & {_stem(part) for part in _parts(other)})


def factor(one: str, other: str) -> Fraction | None:
    """By what to multiply an amount in `one` to get it in `other`; None if they measure different things."""
    first, second = _known(one), _known(other)
    if first and second and first[0] == second[0]:
        return first[1] / second[1]
    return None


def is_known(unit: str) -> bool:
    """Whether every part is a unit of measurement."""
    parts = _parts(unit)
    return bool(parts) and all(_known(part) or part.lstrip("-").isdigit() for part in parts)


def _known(name: str) -> tuple[str, Fraction] | None:
    bare = name.rstrip(".")
    for candidate in (
        bare,
        bare.lower(),
        bare.removesuffix("s"),
        bare.lower().removesuffix("s"),
        bare.lower().removesuffix("es"),
    ):
        if candidate in _UNITS and (len(candidate) > 1 or candidate == bare):
            return _UNITS[candidate]
    return None


def _parts(unit: str) -> list[str]:
    unit = _SQUARE.sub(r"\1^2", _CUBIC.sub(r"\1^3", unit)).replace("mph", "mile/hour")
    parts = [part for part in _SPLIT.findall(unit) if part.lower() not in ("per", "of", "the", "a", "an")]
    return [_POWER.sub("", part) for part in parts] + _POWER.findall(unit)


def _stem(word: str) -> str:
    word = word.lower().rstrip(".")
    return {"men": "man", "women": "woman", "children": "child", "people": "person"}.get(word) or (
        word[:-3] + "y" if word.endswith("ies") else word.removesuffix("s")
    )


def _is_unit(unit: str, *, spaced: bool) -> bool:
    words = [part.rstrip(".") for part in re.findall(rf"{_LETTER}+", unit)]
    if not words:
        return unit in ("%", "°", "¢")
    if any(word.lower() in _MEANING and word.lower() not in _ALLOWED_BETWEEN for word in words):
        return False
    if words[0].lower() in _ALLOWED_BETWEEN and words[0].lower() != "per":
        return False
    if all(_known(word) or word.lower() in _ALLOWED_BETWEEN for word in words):
        return spaced or unit[0] in "°%¢" or all(len(word) > 1 for word in words)
    spaced = spaced or not words[0].isascii()
    return spaced and all(
        len(word) > 2 or not word.isascii() or _known(word) or word.lower() in _ALLOWED_BETWEEN for word in words
    )
