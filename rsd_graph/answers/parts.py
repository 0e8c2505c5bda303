"""Split a text at its separators, outside of brackets; one pass."""

import re
from collections.abc import Callable

from rsd_graph.answers.spelling import SET_CLOSE, SET_OPEN

OPENING = f"([{{⟨⌊⌈{SET_OPEN}"
CLOSING = f")]}}⟩⌋⌉{SET_CLOSE}"
_CONNECTIVE = re.compile(r"(?<![A-Za-z])(?:and|or)(?![A-Za-z])|[,;]|&", re.IGNORECASE)
_RELATION = re.compile(r"[=<>≤≥≠]")


def split_list(text: str) -> tuple[list[str], set[str]]:
    """The items of a list, and the separators between them: `,`, `;`, `and`, `or`."""
    parts, separators = split(text, _CONNECTIVE)
    return [part.strip() for part in parts if part.strip()], {separator.lower() for separator in separators}


def split_relation(text: str) -> tuple[list[str], list[str]]:
    """The sides of an equation or a chain of inequalities, and the signs between them."""
    parts, signs = split(text, _RELATION)
    return [part.strip() for part in parts], signs


def split_at(text: str, separators: str) -> list[str]:
    """The parts between single characters."""
    return [part.strip() for part in split(text, re.compile(f"[{re.escape(separators)}]"))[0]]


def split(text: str, separator: re.Pattern[str]) -> tuple[list[str], list[str]]:
    """The parts and the separators between them, at the outermost level."""
    level = _levels(text)
    parts, separators, start = [], [], 0
    for match in separator.finditer(text):
        if level(match.start()) == 0:
            parts.append(text[start : match.start()])
            separators.append(match[0])
            start = match.end()
    return [*parts, text[start:]], separators


def is_enclosed(text: str) -> bool:
    """Whether the first bracket is closed by the last character."""
    if len(text) < 2 or text[0] not in OPENING or text[-1] not in CLOSING:
        return False
    level = _levels(text)
    return all(level(index) > 0 for index in range(1, len(text)))


def _levels(text: str) -> Callable[[int], int]:
    depth, depths = 0, []
    for character in text:
        depths.append(depth)
        depth = max(0, depth + (character in OPENING) - (character in CLOSING))
    return depths.__getitem__


def unwrapped(text: str) -> str:
    """Without grouping braces around the whole."""
    while text.startswith("{") and is_enclosed(text) and text[1:-1].strip():
        text = text[1:-1].strip()
    return text
