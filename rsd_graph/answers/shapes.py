"""What an answer can be: words, a choice, a value, a list, an interval, an equation, a ratio, a matrix."""

from dataclasses import dataclass
from typing import TypeAlias

from rsd_graph.answers.expressions import Tree


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
    rest: "Readings"


@dataclass(frozen=True)
class Value:
    """An expression, with its unit."""

    tree: Tree
    unit: str = ""


@dataclass(frozen=True)
class Items:
    """Several answers, each with its readings.

    The kind is `list` as written with commas, `tuple` for an order, `either` for alternatives, or `set`.
    """

    kind: str
    items: tuple["Readings", ...]


@dataclass(frozen=True)
class Named:
    """A name and what it is: `x = 5`, `f(x) = 2x`."""

    name: str
    value: "Readings"


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
    half: str = ""


@dataclass(frozen=True)
class Matrix:
    """Rows of entries."""

    rows: tuple[tuple["Readings", ...], ...]


Shape: TypeAlias = Text | Words | Choice | Value | Items | Named | Relation | Region | Digits | Matrix

Readings: TypeAlias = tuple[Shape, ...]  # of one text

INFINITY: Tree = ("constant", "∞")
MINUS_INFINITY: Tree = ("neg", INFINITY)
