"""Extract the final answer of a response, and compare two answers.

Extraction is plain text work and safe on anything. Comparison is done by `math-verify`, in a process of its own: sympy
may hang, exhaust memory or recurse without end on hostile LaTeX, and then only that process dies.
"""

import atexit
import json
import re
import subprocess
import sys
import threading
from contextlib import suppress
from typing import IO

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


def same_answer(answer: str | None, reference: str, *, timeout: float = 10.0) -> bool:
    """Whether two answers are mathematically the same.

    Args:
        answer: The answer to judge; None is never right.
        reference: The right answer, as LaTeX or plain text.
        timeout: Seconds after which a comparison that does not end counts as "not the same".
    """
    if answer is None:
        return False
    first, second = _plain(answer), _plain(reference)
    return first == second or _verifier.same(answer, reference, timeout)


def _plain(answer: str) -> str:
    return re.sub(r"(?<=\d),(?=\d{3})|\\?\$", "", answer).strip().removesuffix(".")


class _Verifier:
    """A child process that imports math-verify once and compares pair after pair; replaced when it hangs or dies."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None

    def same(self, answer: str, reference: str, timeout: float) -> bool:
        with self._lock:
            child = self._running()
            watchdog = threading.Timer(timeout, child.kill)
            watchdog.start()
            try:
                with suppress(OSError, ValueError):  # a dead child reads as "not the same"
                    _pipe(child.stdin).write(json.dumps([answer, reference]) + "\n")
                    _pipe(child.stdin).flush()
                    return bool(json.loads(_pipe(child.stdout).readline()))
                return False
            finally:
                watchdog.cancel()
                watchdog.join()

    def _running(self) -> "subprocess.Popen[str]":
        if self._child is None or self._child.poll() is not None:
            if self._child:
                atexit.unregister(_end)
                _end(self._child)
            self._child = subprocess.Popen(
                [sys.executable, "-P", __file__],  # by path: the package would import LangGraph for nothing
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            atexit.register(_end, self._child)
            _pipe(self._child.stdout).readline()  # the import of sympy is not on the first pair's clock
        return self._child


def _end(child: "subprocess.Popen[str]") -> None:
    child.kill()
    child.communicate()


def _pipe(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise OSError("the child process has no such pipe")
    return stream


_verifier = _Verifier()


def _serve() -> None:
    """The child process: one JSON pair a line on standard input, `true` or `false` a line on standard output."""
    from math_verify import parse, verify

    print("ready", flush=True)
    for line in sys.stdin:
        same = False
        with suppress(Exception, RecursionError, MemoryError):
            answer, reference = (parse(f"${text}$", parsing_timeout=None) for text in json.loads(line))
            same = verify(reference, answer, timeout_seconds=None)
        print(json.dumps(bool(same)), flush=True)


if __name__ == "__main__":
    _serve()
