"""math-verify in a child process.

Sympy can hang, exhaust memory or recurse without end on hostile LaTeX. In a process of its own it takes nothing else
down.
"""

import atexit
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

_CHILD = Path(__file__).with_name("verify_child.py")


class Verifier:
    """A child process that imports math-verify once and compares pair after pair; replaced when it hangs or dies."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        atexit.register(self.close)

    def same(self, answer: str, reference: str, timeout: float) -> bool:
        """Whether math-verify finds the answers equal; False if it has not said so after `timeout` seconds."""
        with self._lock:
            child = self._running()
            watchdog = threading.Timer(timeout, child.kill)
            watchdog.start()
            try:
                _pipe(child.stdin).write(json.dumps([answer, reference]) + "\n")
                _pipe(child.stdin).flush()
                return bool(json.loads(_pipe(child.stdout).readline()))
            except (OSError, ValueError):  # the child died or was killed
                self.close()  # now: for a moment after its death, `poll` still says that it runs
                return False
            except BaseException:  # Ctrl-C: the answer that is still to come must not count for the next pair
                self.close()
                raise
            finally:
                watchdog.cancel()
                watchdog.join()

    def close(self) -> None:
        """End the child process; the next comparison starts another."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None

    def _running(self) -> "subprocess.Popen[str]":
        if self._child is None or self._child.poll() is not None:
            self.close()
            self._child = subprocess.Popen(
                [sys.executable, "-P", str(_CHILD)],  # by path: by module name, it would import LangGraph for nothing
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            _pipe(self._child.stdout).readline()  # the first pair's timeout starts after sympy is imported
        return self._child


def _pipe(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise OSError("the child process was started without this pipe")
    return stream
