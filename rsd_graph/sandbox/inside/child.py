"""The interpreter inside: it builds its walls, says so, and runs one block of code after the other.

Started by path, with its settings as JSON in the first argument. Blocks arrive on a pipe, each as four bytes of length
and JSON; an answer goes the same way back on another. What is printed goes out as it is, on file descriptor 1.
"""

import ast
import io
import json
import linecache
import os
import sys
import traceback
from contextlib import suppress
from typing import Any

NAME = "<code>"
MOST_FRAMES = 3
MOST_ERROR = 4_000
"""Characters of an error that are sent."""


def main() -> None:
    """Serve until the other end closes."""
    settings = json.loads(sys.argv[1])
    received, sent = _move(0), _move(settings["answers"])
    _lock_down(settings, sent)
    sys.path.extend(settings["packages"])
    for module in settings["preload"]:
        with suppress(ImportError):
            __import__(module)
    _send(sent, {"ready": True})
    names: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
    for count in range(1, 1 << 62):
        length = int.from_bytes(_read(received, 4), "big")
        block = json.loads(_read(received, length))
        error = _run(block["code"], names, f"{NAME[:-1]} {count}>")
        _send(sent, {"id": block["id"], "error": _shortened(error)})


def _move(descriptor: int) -> int:
    """Out of the way of code that closes or reads the first few."""
    moved = os.dup(descriptor)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)
    return moved


def _lock_down(settings: dict[str, Any], sent: int) -> None:
    sys.path.insert(0, settings["here"])
    import walls  # type: ignore[import-not-found]  # beside this file

    try:
        os.chdir(settings["scratch"])
        walls.lock_down(settings["limits"], settings["readable"], settings["writable"], landlock=settings["landlock"])
    except OSError as error:
        _send(sent, {"ready": False, "error": str(error)})
        raise
    sys.path.remove(settings["here"])
    sys.argv[:] = [""]


class _Counting(io.FileIO):
    """File descriptor 1, and whether anything has been written to it."""

    used = False

    def write(self, data: Any) -> int:
        self.used = True
        return super().write(data)


def _run(code: str, names: dict[str, Any], name: str) -> str:
    """Run a block; returns what went wrong, or nothing."""
    raw = _Counting(1, "w", closefd=False)
    out = io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", errors="backslashreplace", line_buffering=True)
    sys.stdout, sys.stdin = out, io.StringIO()
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    try:
        value = _value(code, names, name)
        out.flush()
        if value is not None and not raw.used:
            out.write(_shown(value) + "\n")
    except BaseException as error:  # noqa: BLE001  # whatever the code raises is its result
        problem = _described(error)
    else:
        problem = ""
    try:
        out.flush()
    except BaseException as error:  # noqa: BLE001
        problem = problem or _described(error)
    return problem


def _value(code: str, names: dict[str, Any], name: str) -> Any:
    """Of the last statement, if it is an expression."""
    tree = ast.parse(code, name)
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Expr):
        tree.body.pop()
    exec(compile(tree, name, "exec"), names)  # noqa: S102  # the purpose of the sandbox
    if not isinstance(last, ast.Expr):
        return None
    return eval(compile(ast.Expression(last.value), name, "eval"), names)  # noqa: S307


def _shown(value: Any) -> str:
    return str(value) if type(value).__module__.startswith("sympy.") else repr(value)


def _described(error: BaseException) -> str:
    """As Python ends a traceback, below the last lines of the code that led there."""
    try:
        if isinstance(error, SystemExit) and error.code in {None, 0}:
            return ""
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(NAME[:-1])]
        places = [f"line {frame.lineno}: {frame.line}" for frame in frames[-MOST_FRAMES:]]
        return "\n".join([*places, *(line.rstrip() for line in traceback.format_exception_only(error))])
    except BaseException:  # noqa: BLE001  # its own __str__ raises
        return "an exception that cannot be shown"


def _shortened(text: str) -> str:
    half = MOST_ERROR // 2
    return text if len(text) <= MOST_ERROR else f"{text[:half]} … {text[-half:]}"


def _read(descriptor: int, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        part = os.read(descriptor, size - len(parts))
        if not part:
            os._exit(0)
        parts += part
    return parts


def _send(descriptor: int, message: dict[str, Any]) -> None:
    data = json.dumps(message).encode()
    data = len(data).to_bytes(4, "big") + data
    while data:
        data = data[os.write(descriptor, data) :]


main()
