"""Answers in words, and the letters of multiple choice.

A word is compared as a word: as a product of its letters, "no" would be "on". Only a run of small letters without a
vowel, or of `abcxyz`, may be a product (`xy` is `yx`); capitals name points and choices (`ABC` is not `ACB`).
"""

import re
from typing import NamedTuple

from rsd_graph.answers.spelling import FUNCTIONS

_CHOICES = "A-J"
_LABELLED = re.compile(
    rf"(?:\(\s*(?P<a>[{_CHOICES}])\s*\)|(?P<b>[{_CHOICES}])(?:\s*[):.]|\s+-\s+(?=[A-Za-z ]{{4}}))|"
    rf"(?:[Oo]ption|[Cc]hoice|[Aa]nswer)\s*:?\s*\(?\s*(?P<c>[{_CHOICES}])\b\s*\)?[:.]?)\s*(?P<rest>.*)$",
    re.DOTALL,
)
_GOES_ON = re.compile(r"(?:and|or|,|;|&)(?![A-Za-z])")
_LETTER = re.compile(rf"[{_CHOICES}{_CHOICES.lower()}]")
_WORDS = re.compile(r"[A-Za-zÀ-ÿ][A-Za-zÀ-ÿ'\-]*(?:[ ,]+[A-Za-zÀ-ÿ][A-Za-zÀ-ÿ'\-]*)*")
_PRODUCT = re.compile(r"[b-df-hj-np-tv-z]{2,4}|[abcxyz]{2,3}")
_ARTICLES = frozenset({"a", "an", "the"})
_SHAPES = frozenset("triangle angle segment line point".split())  # triangle ABC is ABC
_SAME = {
    "dne": "does not exist",
    "no solutions": "no solution",
    "none": "no solution",
    "no real solution": "no solution",
    "no real solutions": "no solution",
    "there is no solution": "no solution",
    "all reals": "all real numbers",
    "all real number": "all real numbers",
}


_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_COUNTS = {word: value for value, word in enumerate(_SMALL)} | {word: 10 * value for value, word in enumerate(_TENS, 2)}
_POWERS = {"hundred": 100, "thousand": 1000, "million": 10**6}
_PARTS = {
    "half": 2,
    "halve": 2,
    "third": 3,
    "quarter": 4,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "eighth": 8,
    "tenth": 10,
}


class Choice(NamedTuple):
    """A letter of a multiple-choice question, and the text that stood after it."""

    letter: str
    rest: str


def read_choice(text: str) -> Choice | None:
    """`(B) 45`, `B) 45`, `B: 45`, `option B` or a lone letter."""
    if _LETTER.fullmatch(text):
        return Choice(text.upper(), "")
    match = _LABELLED.fullmatch(text)
    if match is None or _GOES_ON.match(match["rest"]):
        return None
    return Choice(match["a"] or match["b"] or match["c"], match["rest"].strip())


def read_words(text: str) -> str | None:
    """The words of an answer in words, without case, articles and punctuation; None if it is no such answer."""
    text = text.replace('"', "").replace("△", "triangle ").replace("∠", "angle ").strip()
    text = text.rstrip("!?") if len(text) > 4 else text
    if len(text) < 2 or not _WORDS.fullmatch(text) or text in FUNCTIONS:
        return None
    words = [word for word in re.findall(r"[^\s,!?]+", text.lower()) if word not in _ARTICLES]
    words = words[1:] if len(words) == 2 and words[0] in _SHAPES else words
    return _SAME.get(" ".join(words), " ".join(words)) or None


def may_be_product(text: str) -> bool:
    """Whether a run of letters may mean the product of its letters."""
    return (
        bool(_PRODUCT.fullmatch(text)) or any(len(word) == 1 for word in re.split(r"[\s,]+", text)) or text in FUNCTIONS
    )


def read_number(words: str) -> str | None:
    """`twenty-one`, `one hundred and five` or `two thirds` in digits; None if the words are no number."""
    *counts, last = words.replace("-", " ").split() or [""]
    part = _PARTS.get(last.removesuffix("s"))
    whole = 1 if part and not counts else _counted([*counts] if part else [*counts, last])
    if whole is None:
        return None
    return f"\\frac{{{whole}}}{{{part}}}" if part else str(whole)


def _counted(words: list[str]) -> int | None:
    total = current = 0
    for word in words:
        if word in _COUNTS:
            current += _COUNTS[word]
        elif word == "hundred":
            current = (current or 1) * 100
        elif word in _POWERS:
            total, current = total + (current or 1) * _POWERS[word], 0
        elif word != "and":
            return None
    return total + current if any(word != "and" for word in words) else None
