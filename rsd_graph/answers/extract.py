"""Find the final answer in a response: text processing only, in linear time on any input."""

import re

from rsd_graph.answers.normalise import unwrap

_PHRASE = re.compile(r"\banswer[ \t*]*(?:is|=|:)[ \t*:]*\n?(?P<answer>[^\n]+)", re.IGNORECASE)
_HASHES = re.compile(r"####\s*(?P<answer>[^\n]+)")
_NUMBER = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:/\d+)?")
_BRACES = re.compile(r"\\f?boxed\s*\{|\\.|[{}]")  # an escaped brace is content


def extract_answer(response: str) -> str | None:
    r"""The final answer of a response, or None.

    The content of the last complete `\boxed{}`; else the text after the last `####`, or after the last "the answer
    is"; else the last number.
    """
    boxed = _last_boxed(response)
    if boxed:
        return boxed
    for pattern in (_HASHES, _PHRASE):
        found = list(pattern.finditer(response))
        if found and (answer := unwrap(found[-1]["answer"])):
            return answer
    numbers = _NUMBER.findall(response)
    return numbers[-1] if numbers else None


def _last_boxed(text: str) -> str | None:
    """The content of the last box opened that is also closed; one pass, however many boxes there are."""
    opened: list[int | None] = []  # one entry per open brace: where its box's content begins, None for a plain brace
    last = (-1, -1)
    for token in _BRACES.finditer(text):
        match token[0]:
            case "{":
                opened.append(None)
            case "}" if opened:
                start = opened.pop()
                if start is not None:
                    last = max(last, (start, token.start()))
            case other if "boxed" in other:
                opened.append(token.end())
    return text[last[0] : last[1]].strip() if last[0] >= 0 else None
