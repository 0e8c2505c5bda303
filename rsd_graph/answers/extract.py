"""Find the final answer in a response: text processing only, in linear time on any input."""

import re
from collections import deque

from rsd_graph.answers.boxes import last_boxed
from rsd_graph.answers.normalise import unwrap
from rsd_graph.answers.thoughts import after_last_thought, without_thoughts
from rsd_graph.answers.units import split_unit

_TAGGED = re.compile(
    r"<\s*answer\s*>(?P<answer>[^<]*(?:<(?!/?\s*answer)[^<]*)*)(?:<\s*/\s*answer\s*>|$)", re.IGNORECASE
)
_PHRASE = re.compile(
    r"\b(?:answers?|correct (?:option|choice)|final result)\b(?:,[^,.\n]{1,30},)?(?:[ \t]+to\b[^.\n:=]{1,60}?)?[ \t*_]*"
    r"(?P<verb>\bis\b|\bare\b|=|:|\bequals\b|\b(?:will|should|would|must) be\b|\bcomes (?:out )?to\b)[ \t*_:]*"
    r"(?:(?:therefore|thus|hence|simply|just|then|indeed|clearly)\b[ \t,:]*)?",
    re.IGNORECASE,
)
_HEADING = re.compile(r"^[#*_ \t]*(?:final )?answer[#*_:. \t]*$", re.IGNORECASE | re.MULTILINE)
_HASHES = re.compile(r"####[ \t]*(?P<answer>[^\n]+)")
_CORRECT = re.compile(
    r"\b(?:option|choice)[ \t]*\(?(?P<answer>[A-J])\b\)?[ \t]+is[ \t]+(?:the )?(?:correct|right|answer)", re.IGNORECASE
)
_LETTER_LAST = re.compile(r"\banswer[ \t*_]*(?:is|:)[ \t*_:]*\(?(?P<answer>[A-J])\)?[\s.*_]*$", re.IGNORECASE)
_BOXED_LETTER = re.compile(r"(?:\\[a-z]+\s*\{)?\s*\(?[A-J]\)?(?:[\s}):.]|$)")
_IS_ANSWER = re.compile(
    r"(?P<answer>\$[^$\n]{1,80}\$|[-−]?\d[\d.,/]{0,30}) is (?:the|our|my) (?:final |correct )?answer\b", re.IGNORECASE
)
_DISPLAY = re.compile(r"\s*(?:\\\[(?P<a>[^\0]{1,500}?)\\\]|\$\$(?P<b>[^$]{1,500})\$\$)")
_SENTENCE_END = re.compile(
    r"[.!?](?=[*_]*(?:\s+[A-Z\\$(*]|\s*$))|(?<=\d)\s+\((?=[a-z])"
    r"|,\s+as\b|[,;]?\s(?:because|since|which|but|so that|as required|and (?:we|this|it|that|the))\b"
)
_REMARK = re.compile(  # what is said about an answer is none
    r"(?:(?:also|indeed|very|quite|not|only|therefore|thus|completely|clearly)\s+)*"
    r"(?:reasonable|correct|incorrect|right|wrong|valid|invalid|consistent|sensible|plausible|verified|confirmed|unique|"
    r"exact|clear|unclear|obvious|given|in|as|based|below|above|found|obtained|expressed|written|rounded|already|supposed|"
    r"required|expected|simplified|what|that|the same)\b|not\s+[-−$\\\d]",
    re.IGNORECASE,
)
_NUMBER = (
    r"(?<![\w)\]}])[-−–]?(?:\d{1,3}(?:(?:,|\{,\}|\\,)\d{3})+|\d+ \d+/\d+|\d{1,2}:[0-5]\d(?!\d)|\d+)"
    r"(?:\.\d+)?(?:/\d+|[½⅓⅔¼¾]|[eE][+-]?\d+|\s?(?:\\times|×|\*)\s?10\^\{?[-−]?\d+\}?)?|[½⅓⅔¼¾]"
)
_FRACTION = r"-?\d{0,9}\\[dt]?frac\s?\{[^{}\n]{1,40}\}\s?\{[^{}\n]{1,40}\}"
_LAST = re.compile(
    r"(?<![\\$\w])\$(?P<dollar>[^\s$](?:[^$\n]{0,150}[^\s$\\])?)\$(?![\d$])|\\\((?P<paren>[^\n]{1,150}?)\\\)"
    rf"|(?P<fraction>{_FRACTION})|(?P<number>(?<![\w.])[-−–]?\.\d+(?!\.\d)|{_NUMBER}|(?<![,.])\d+(?:\.\d+)?(?:/\d+)?)"
)
_PLAIN_NUMBER = re.compile(r"[-−–]?[\d,]*\.?\d+(?:/\d+)?")
_OPEN_BOX = re.compile(r"^\$?\\(?:boxed|fbox|framebox)\s*\{(?=[^{}]*$)")
_AMOUNT = re.compile(r"\\?\$\s?(-?(?:[\d,]|\{,\})*\.?\d+)")


def extract_answer(response: str) -> str | None:
    r"""The final answer of a response, or None; what stands in `<think>` tags is none.

    The content of the last `<answer>` tag; else of the last complete `\boxed{}`, or of a list of boxes; else the text
    after the last `####`, or after the last "the answer is"; else the last formula or number.
    """
    answer = _final(without_thoughts(response))
    return answer if answer is not None else _final(after_last_thought(response))


def _final(text: str) -> str | None:
    tagged = [match["answer"] for match in _TAGGED.finditer(text) if match["answer"].strip()]
    if tagged:
        return last_boxed(tagged[-1]) or _after_phrase(tagged[-1]) or _tidy(tagged[-1]) or None
    boxed = last_boxed(text)
    if boxed and not _BOXED_LETTER.match(boxed) and (letter := _LETTER_LAST.search(text[-60:])):
        return letter["answer"]  # the box holds a formula of the reasoning
    return boxed or _after_hashes(text) or _after_phrase(text) or _last_value(text)


def _after_hashes(text: str) -> str | None:
    """The last line of hashes, unless it is a heading: text without a number, with more text under it."""
    found = list(_HASHES.finditer(text))
    if not found:
        return None
    answer = _after_phrase(found[-1]["answer"]) or _tidy(found[-1]["answer"])
    is_last = not text[found[-1].end() :].strip()
    return answer if answer and (is_last or re.fullmatch(r"[-−$\\\d.,/%\s]*\d[-−$\\\d.,/%\s]*", answer)) else None


def _after_phrase(text: str) -> str | None:
    """What follows the last "the answer is" that gives one."""
    found = [(match.end(), match["verb"].isalpha()) for match in _PHRASE.finditer(text)]
    found += [(match.end(), False) for match in _HEADING.finditer(text)]
    for end, is_sentence in sorted(found, reverse=True):
        if answer := _stated(text, end, is_sentence=is_sentence):
            return answer
    named = [match for pattern in (_CORRECT, _IS_ANSWER) for match in pattern.finditer(text)]
    return _tidy(max(named, key=lambda match: match.start())["answer"]) if named else None


def _stated(text: str, start: int, *, is_sentence: bool) -> str | None:
    if display := _DISPLAY.match(text, start):
        return unwrap((display["a"] or display["b"]).strip())
    line = _first_line(text, start)
    if _REMARK.match(line.strip(" *_")):
        return None
    if end := _SENTENCE_END.search(line):
        line = line[: end.start()]
    answer = _tidy(line)
    quantity = split_unit(answer.replace("$", "")) if is_sentence else None
    return quantity.value if quantity and re.fullmatch(r"-?[\d,]*\.?\d+(?:/\d+)?", quantity.value) else answer or None


def _first_line(text: str, start: int) -> str:
    """The rest of the line, or the next line if nothing is left of it."""
    end = text.find("\n", start)
    line = text[start : end if end >= 0 else len(text)]
    if line.strip(" *_\t:.") or end < 0:
        return line
    following = re.compile(r"\s*([^\n]+)").match(text, end)
    return following[1] if following else ""


def _tidy(answer: str) -> str:
    """The answer without wrapping, a currency sign and the beginning of a box that is never closed."""
    answer = _OPEN_BOX.sub("", unwrap(answer.strip()))
    amount = _AMOUNT.fullmatch(answer)
    return _in_full(amount[1] if amount else answer)


def _in_full(value: str) -> str:
    """A number with an ASCII minus and a digit before the point; anything else as it is."""
    if not _PLAIN_NUMBER.fullmatch(value):
        return value
    return re.sub(r"^(-?)\.", r"\g<1>0.", value.replace("−", "-").replace("–", "-"))


def _last_value(text: str) -> str | None:
    """The last formula or number."""
    last = next(iter(deque(_LAST.finditer(text), maxlen=1)), None)
    if last is None:
        return None
    formula = last["dollar"] or last["paren"]
    if formula:
        return unwrap(formula.rsplit("=", 1)[-1].strip()) or None
    return _in_full(last[0])
