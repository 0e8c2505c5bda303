"""What protects this machine, found out by trying."""

import platform
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rsd_graph.errors import SandboxError
from rsd_graph.sandbox.backends import BACKENDS, PACKAGES, Backend
from rsd_graph.sandbox.interpreter import Interpreter
from rsd_graph.sandbox.limits import Limits
from rsd_graph.sandbox.verify import Wall, walls

CALLS = 20


@dataclass(frozen=True)
class BackendReport:
    """Of one backend. `reason` says why it cannot be used, and is empty if it can."""

    name: str
    reason: str = ""
    walls: Sequence[Wall] = field(default_factory=list)
    start_ms: float = 0
    """Until an interpreter with its packages is ready, with nothing started ahead."""
    call_ms: float = 0
    """Of a block in a session: median."""

    @property
    def protects(self) -> bool:
        """Whether every wall holds."""
        return not self.reason


def kernel_facts() -> dict[str, str]:
    """What the backends depend on."""
    facts = {"system": f"{platform.system()} {platform.release()} ({platform.machine()})"}
    if sys.platform != "linux":
        return facts
    from rsd_graph.sandbox.inside.walls import landlock_version

    version = landlock_version()
    facts["Landlock"] = f"version {version}" if version else "none"
    for name, file in {
        "user namespaces": "/proc/sys/user/max_user_namespaces",
        "restricted by AppArmor": "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    }.items():
        if Path(file).exists():
            facts[name] = Path(file).read_text(encoding="ascii").strip()
    return facts


def reports(backends: Sequence[Backend] = BACKENDS) -> Iterator[BackendReport]:
    """Try each backend, one after the other."""
    for backend in backends:
        try:
            tried = walls(backend, Limits())
            open_walls = ", ".join(wall.name for wall in tried if not wall.holds)
            if open_walls:
                yield BackendReport(backend.name, f"does not hold: {open_walls}", tried)
            else:
                yield BackendReport(backend.name, "", tried, *_times(backend))
        except (SandboxError, OSError) as error:
            yield BackendReport(backend.name, str(error).removeprefix(f"{backend.name}: "))


def _times(backend: Backend) -> tuple[float, float]:
    begun = time.perf_counter()
    interpreter = Interpreter(backend, Limits(), PACKAGES)
    try:
        interpreter.wait_until_ready()
        started = time.perf_counter() - begun
        calls = []
        for _ in range(CALLS):
            begun = time.perf_counter()
            interpreter.run("6 * 7", 5)
            calls.append(time.perf_counter() - begun)
    finally:
        interpreter.release()
    return 1000 * started, 1000 * statistics.median(calls)
