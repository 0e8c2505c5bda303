"""Answers in words, and the letters of multiple choice.

A word is compared as a word: as a product of its letters, "no" would be "on". Only a run of small letters without a
vowel, or of `abcxyz`, may be a product (`xy` is `yx`); capitals name points and choices (`ABC` is not `ACB`).
"""

import re
from typing import NamedTuple

from rsd_graph.answers.spelling import FUNCTIONS

_CHOICES = "A-J"
_LABELLED = re.compile(
    rf"(?:\(\s*(?P<a>[{_CHOICES}])\s*\)|(?P<b>[{_CHOICES}])\s*[):.]|"
    rf"(?:[Oo]ption|[Cc]hoice|[Aa]nswer)\s*:?\s*\(?\s*(?P<c>[{_CHOICES}])\b\s*\)?[:.]?)\s*(?P<rest>.*)$",
    re.DOTALL,
)
_LETTER = re.compile(rf"[{_CHOICES}{_CHOICES.lower()}]")
_WORDS = re.compile(r"[A-Za-zÀ-ÿ][A-Za-zÀ-ÿ'\-]*(?:[ ,]+[A-Za-zÀ-ÿ][A-Za-zÀ-ÿ'\-]*)*")
_PRODUCT = re.compile(r"[b-df-hj-np-tv-z]{2,4}|[abcxyz]{2,3}")
_ARTICLES = frozenset({"a", "an", "the"})
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


class Choice(NamedTuple):
    """A letter of a multiple-choice question, and the text that stood after it."""

    letter: str
    rest: str


def read_choice(text: str) -> Choice | None:
    """`(B) 45`, `B) 45`, `B: 45`, `option B` or a lone letter."""
    if _LETTER.fullmatch(text):
        return Choice(text.upper(), "")
    match = _LABELLED.fullmatch(text)
    if match is None:
        return None
    return Choice(match["a"] or match["b"] or match["c"], match["rest"].strip())


def read_words(text: str) -> str | None:
    """The words of an answer in words, without case, articles and punctuation; None if it is no such answer."""
    text = text.replace('"', "").strip()
    text = text.rstrip("!?") if len(text) > 4 else text
    if len(text) < 2 or not _WORDS.fullmatch(text) or text in FUNCTIONS:
        return None
    words = [word for word in re.findall(r"[^\s,!?]+", text.lower()) if word not in _ARTICLES]
    return _SAME.get(" ".join(words), " ".join(words)) or None


def may_be_product(text: str) -> bool:
    """Whether a run of letters may mean the product of its letters."""
    return bool(_PRODUCT.fullmatch(text)) or any(len(word) == 1 for word in text.split()) or text in FUNCTIONS
