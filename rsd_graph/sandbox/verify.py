"""Whether the walls hold here: an interpreter tries to get out before any other code is run."""

import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rsd_graph.errors import SandboxError
from rsd_graph.sandbox.backends import Backend
from rsd_graph.sandbox.interpreter import Interpreter
from rsd_graph.sandbox.limits import Limits

ATTEMPTS = {
    "network": "import socket; socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()",
    "local sockets": "import socket; socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).close()",
    "files": "open('/etc/passwd').read()",
    "home": "import os; os.listdir({home!r})",
    "writing": "open({temporary!r}, 'w').close()",
    "environment": "open('/proc/{parent}/environ', 'rb').read()",
    "processes": "import os\nif os.fork() == 0: os._exit(0)",
    "programs": "import os; os.execv('/bin/true', ['true'])",
    "signals": "import os; os.kill({parent}, 0)",
    "memory": "x = bytearray({memory})",
    "limits": "import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 1))",
}
"""What each wall is for, and an attempt to pass it: it must raise an exception, and the interpreter must live on."""
SECONDS = 20.0


@dataclass(frozen=True)
class Wall:
    """One attempt: `said` is what stopped it, or how it went through."""

    name: str
    holds: bool
    said: str


def walls(backend: Backend, limits: Limits) -> list[Wall]:
    """Try to get out, in every way of the table.

    Raises:
        SandboxError: the backend does not start here.
    """
    if missing := backend.missing():
        raise SandboxError(f"{backend.name}: {missing}")
    interpreter = Interpreter(backend, limits)
    try:
        works = interpreter.run("print(6 * 7)", SECONDS)
        if works.output.strip() != "42":
            raise SandboxError(f"{backend.name}: the interpreter does not compute: {works.error or works.output}")
        return [_tried(interpreter, name, code, limits) for name, code in ATTEMPTS.items()]
    finally:
        interpreter.release()


def _tried(interpreter: Interpreter, name: str, code: str, limits: Limits) -> Wall:
    temporary = Path(tempfile.gettempdir(), f"rsd-sandbox-probe-{secrets.token_hex(8)}")  # must not come into being
    values = {"home": str(Path.home()), "memory": limits.memory, "parent": os.getpid(), "temporary": str(temporary)}
    code = code.format(**values) + "\nprint('passed')"
    if not interpreter.alive:
        return Wall(name, False, "not tried: an attempt before it ended the interpreter")
    result = interpreter.run(code, SECONDS)
    temporary.unlink(missing_ok=True)
    if result.restarted:
        return Wall(name, False, result.error)
    stopped = "passed" not in result.output and bool(result.error)
    return Wall(name, stopped, result.error.splitlines()[-1] if stopped else "nothing stopped it")


def verify(backend: Backend, limits: Limits) -> None:
    """Refuse a backend that lets anything through.

    Raises:
        SandboxError: it does not start here, or a wall does not hold; the message says which.
    """
    open_walls = [wall for wall in walls(backend, limits) if not wall.holds]
    if open_walls:
        listed = "; ".join(f"{wall.name}: {wall.said}" for wall in open_walls)
        raise SandboxError(f"{backend.name}: a wall does not hold ({listed})")
