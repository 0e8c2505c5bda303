"""Find the final answer in a response: plain text work, safe on anything."""

import re

_PHRASE = re.compile(r"\banswer[ \t*]*(?:is|=|:)[ \t*:]*\n?(?P<answer>[^\n]+)", re.IGNORECASE)
_HASHES = re.compile(r"####\s*(?P<answer>[^\n]+)")
_NUMBER = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:/\d+)?")
_BRACES = re.compile(r"\\f?boxed\s*\{|\\.|[{}]")  # an escaped brace is content


def extract_answer(response: str) -> str | None:
    r"""The final answer of a response, or None.

    The content of the last complete `\boxed{}`; else what follows the last `####` or "the answer is"; else the last
    number.
    """
    boxed = _last_boxed(response)
    if boxed:
        return boxed
    for pattern in (_HASHES, _PHRASE):
        found = list(pattern.finditer(response))
        if found and (answer := _tidy(found[-1]["answer"])):
            return answer
    numbers = _NUMBER.findall(response)
    return numbers[-1] if numbers else None


def _last_boxed(text: str) -> str | None:
    """The content of the box that opens last among those that close; one pass, however many there are."""
    opened: list[int | None] = []  # where the content of each open brace's box begins; None for a plain brace
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


def _tidy(answer: str) -> str:
    """The answer without a full stop, emphasis and mathematics' own quotation marks around it, however nested."""
    before = ""
    while answer != before:
        before, answer = answer, answer.strip(" \t*").removesuffix(".")
        for opening, closing in (("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")):
            if answer.startswith(opening) and answer.endswith(closing) and len(answer) > len(opening):
                answer = answer[len(opening) : -len(closing)]
    return answer
