"""Compare two answers, by `math-verify` in a process of its own.

Sympy may hang, exhaust memory or recurse without end on hostile LaTeX, and then only that process dies.
"""

import atexit
import json
import re
import subprocess
import sys
import threading
from contextlib import suppress
from typing import IO


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
