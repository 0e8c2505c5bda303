r"""Find the boxed answer in a response: `\boxed{}`, `\fbox{}` or `\framebox{}`; in linear time on any input."""

import re
from typing import NamedTuple

_BRACES = re.compile(
    r"\\(?:f|frame)?box(?:ed)?\s*(?:\[[^\[\]{}\n]{0,20}\]\s*)?\{|\\.|[{}]", re.DOTALL
)  # an escaped brace is content
_UNBRACED = re.compile(r"\\(?:boxed|fbox|framebox)[ ]*(-?[A-Za-z0-9][\w.,/]{0,50})")
_BETWEEN = re.compile(  # from one box to the next of the same list
    r"[\s$\\()\[\]*]*(?:[,;&]|\\text\{\s*(?:and|or)\s*\}|\band\b|\bor\b)[\s$\\()\[\]*,]*(?:(?:and|or)\b[\s$\\()\[\]*]*)?"
    r"(?:\\?[A-Za-z]\w{0,10}\s*=\s*)?"
)
_PLACEHOLDER = re.compile(  # where the response speaks of the box
    r"|\.\.\.|…|\?|_+|\\[lc]?dots|(?:\\text\s*\{)?\s*(?:(?:your |the |final )*answer(?: here)?)?\s*\}?", re.IGNORECASE
)
_LONGEST_GAP = 60  # characters between two boxes of a list
_MOST = 50


class Box(NamedTuple):
    """A box: where its command begins and its brace closes, and what is in it."""

    start: int
    end: int
    content: str


def last_boxed(text: str) -> str | None:
    """The content of the last box, or of all boxes of the list that it ends."""
    boxes = [box for box in _boxes(text) if not _is_placeholder(box.content)]
    if not boxes:
        return None
    row = [boxes[-1]]
    for box in reversed(boxes[-_MOST:-1]):
        gap = text[box.end : row[-1].start]
        if box.end > row[-1].start or len(gap) > _LONGEST_GAP or not _BETWEEN.fullmatch(gap):
            break
        row.append(box)
    return ", ".join(dict.fromkeys(box.content for box in reversed(row)))


def _is_placeholder(content: str) -> bool:
    return len(content) < 40 and _PLACEHOLDER.fullmatch(content) is not None


def _boxes(text: str) -> list[Box]:
    """The complete boxes in the order of their beginnings; one pass, however many boxes there are."""
    opened: list[
        tuple[int, int] | None
    ] = []  # one entry per open brace: its box's start and content, None for a plain one
    found: list[tuple[int, int, int]] = []
    for token in _BRACES.finditer(text):
        match token[0]:
            case "{":
                opened.append(None)
            case "}":
                if opened and (box := opened.pop()):
                    found.append((*box, token.start()))
            case other if "box" in other:
                opened.append((token.start(), token.end()))
    boxes: list[Box] = []
    for start, inner, end in sorted(found):
        if boxes and start < boxes[-1].end:
            boxes.pop()  # the inner of two boxes is the answer
        boxes.append(Box(start, end + 1, text[inner:end].strip()))
    return boxes or [Box(match.start(), match.end(), match[1].strip(".,")) for match in _UNBRACED.finditer(text)]
