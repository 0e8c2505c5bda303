r"""Split an expression into numbers, commands, letters and signs.

A run of letters is a function, or a product where it is short; a longer word makes the text no expression.
"""

import re

from rsd_graph.answers.spelling import FUNCTIONS

_TOKEN = re.compile(
    r"(?P<repeating>(?:\d+\.\d*|\.\d+|\.)\\(?:overline|bar|dot)\{\d+\})"
    r"|(?P<base>[0-9][0-9A-F]*_(?:\{\s*(?:\d+|[a-z]+)\s*\}|\d+))"
    r"|(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4}(?![\d.]))?)"
    r"|(?P<command>\\[A-Za-z]+)|(?P<word>[A-Za-z]+)|(?P<space>\s+)|(?P<other>.)",
    re.DOTALL,
)
_BASE = re.compile(r"([0-9A-F]+)_\{?\s*(\w+?)\s*\}?$")
_BASES = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_TAKES_ONE = (["_"], ["^"], [r"\frac"], [r"\binom"])
_PRODUCT = re.compile(r"[b-df-hj-np-tv-zB-DF-HJ-NP-TV-Z]{3,4}|[a-dxyz]{3,4}")  # without vowels: no word
_PREFIXES = sorted((name for name in FUNCTIONS if len(name) > 2 or name == "ln"), key=len, reverse=True)


class UnreadableError(Exception):
    """The text is no expression that this reader knows."""


def tokens_of(text: str) -> list[str]:
    """The numbers, commands, letters and signs of a text.

    Raises:
        UnreadableError: It has words, or two numbers side by side.
    """
    tokens: list[str] = []
    for match in _TOKEN.finditer(text):
        if match.lastgroup == "word":
            tokens += _letters(match[0])
        elif match.lastgroup == "base" and not _is_base(match[0]):
            raise UnreadableError(match[0])
        elif match.lastgroup != "space":
            tokens.append(match[0])
        elif _between_numbers(tokens, text[match.end() : match.end() + 1]):
            raise UnreadableError("two numbers side by side")
    return tokens


def _between_numbers(tokens: list[str], following: str) -> bool:
    return bool(tokens) and tokens[-1][0].isdigit() and following.isdigit() and tokens[-2:-1] not in _TAKES_ONE


def _is_base(sign: str) -> bool:
    match = _BASE.match(sign)
    if match is None:
        return False
    base = _BASES.get(match[2]) or (int(match[2]) if match[2].isdecimal() and len(match[2]) < 3 else 0)
    return 2 <= base <= 36 and all(int(digit, 36) < base for digit in match[1])


def _letters(word: str) -> list[str]:
    """A known function, or a product of letters."""
    if word in FUNCTIONS:
        return ["\\" + word]
    for name in _PREFIXES:
        if word.startswith(name) and len(word) <= len(name) + 2:
            return ["\\" + name, *word[len(name) :]]
    if word == "mod":
        return [r"\bmod"]
    if len(word) > 2 and not _PRODUCT.fullmatch(word):
        raise UnreadableError(word)
    return list(word)


def in_decimal(numeral: str) -> str:
    """The value of a numeral with its base, `110_2`."""
    digits, base = _BASE.match(numeral).groups()  # type: ignore[union-attr]
    return str(int(digits, _BASES.get(base) or int(base)))
