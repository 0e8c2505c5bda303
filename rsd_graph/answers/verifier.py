"""Comparison in a child process.

Sympy can hang, exhaust memory or recurse without end on hostile LaTeX. In a process of its own it takes nothing else
down.
"""

import atexit
import json
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import IO

_CHILD = Path(__file__).with_name("verify_child.py")


class Verifier:
    """A child process that imports sympy once and compares pair after pair; replaced when it hangs or dies."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        atexit.register(self.close)
        _verifiers.add(self)

    def same(self, answer: str, reference: str, timeout: float) -> bool:
        """Whether the answers are the same; False if the child has not said so after `timeout` seconds."""
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

    def forget(self) -> None:
        """In a forked process: leave the child and the pipes to the parent, whose they are."""
        idle = not self._lock.locked()
        self._lock = threading.Lock()  # the thread that holds the other is not in this process
        child, self._child = self._child, None
        if child is None:
            return
        child.returncode = 0  # not this process's child: nothing to wait for, and nothing to warn of
        with Path(os.devnull).open("r+b", buffering=0) as nowhere:
            for stream in (child.stdin, child.stdout):
                if stream is not None and not stream.closed:  # what it has not sent yet is the parent's to send
                    os.dup2(nowhere.fileno(), stream.fileno(), inheritable=False)
                    if idle:  # else its own lock may be held by a thread that is not here
                        stream.close()
        if not idle:
            _left_to_parents.append(child)

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


_verifiers: "weakref.WeakSet[Verifier]" = weakref.WeakSet()
_left_to_parents: "list[subprocess.Popen[str]]" = []


def _forget_all() -> None:
    for verifier in list(_verifiers):
        verifier.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def _pipe(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise OSError("the child process was started without this pipe")
    return stream
