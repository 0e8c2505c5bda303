"""Runs model servers, and leaves no process behind.

They start in an order that suits their GPUs, are waited for, and are started again when they die.
"""

import asyncio
import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import urlsplit

import httpx

from rsd_graph.errors import ServingError
from rsd_graph.serving.plan import ServerPlan

State = Literal["waiting", "starting", "ready", "restarting", "stopped"]

HEALTH_SECONDS = 0.5
"""Between two questions whether a server answers."""
STOP_SECONDS = 20.0
"""After which a server that was asked to stop is killed."""
STABLE_SECONDS = 600.0
"""After which a server that died is taken for one that dies for the first time."""
TAIL_LINES = 12
TAIL_BYTES = 16384


class Watcher(Protocol):
    """Whoever watches servers start and run."""

    def state(self, server: ServerPlan, state: State, detail: str = "") -> None:
        """A server has changed its state."""

    def log(self, server: ServerPlan, line: str) -> None:
        """What a server that starts has written to its log last."""

    def ready(self) -> None:
        """All servers answer."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When to give up."""

    start_seconds: float = 3600
    """For a server to answer, the download of its weights included."""
    restarts: int = 5
    """In a row, for one server."""
    longest_wait: float = 60
    """Seconds between two restarts; the first comes after one, and each wait doubles."""


class Supervisor:
    """Keeps the servers of a plan running.

    Args:
        servers: What to run.
        logs: Folder for one log file a server; a restarted one goes on in its file.
        watcher: Told what happens.
        api_key: Given to the servers in `VLLM_API_KEY`, where a process list does not show it.
        limits: When to give up.
    """

    def __init__(
        self,
        servers: Sequence[ServerPlan],
        *,
        logs: Path,
        watcher: Watcher,
        api_key: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._processes = [_Process(server, logs / f"{server.role}.log", watcher, api_key) for server in servers]
        self._watcher = watcher

    async def run(self) -> None:
        """Start all servers and keep them running until cancelled; then stop them all.

        Raises:
            ServingError: a server does not start, or dies again and again; the message ends with its last words.
        """
        try:
            for process in self._processes:
                process.require_free_port()
            await asyncio.gather(*(self._start_in_turn(group) for group in _groups(self._processes)))
            self._watcher.ready()
            await asyncio.gather(*(self._keep(process) for process in self._processes))
        finally:
            await asyncio.gather(*(process.stop() for process in self._processes))

    async def _start_in_turn(self, processes: "Sequence[_Process]") -> None:
        for process in processes:
            await process.start()
            await process.answers(self._limits.start_seconds)

    async def _keep(self, process: "_Process") -> None:
        restarts = 0
        while True:
            since = time.monotonic()
            code = await process.ended()
            restarts = 0 if time.monotonic() - since > STABLE_SECONDS else restarts
            while True:
                if restarts == self._limits.restarts:
                    raise process.failed(f"has ended {restarts + 1} times in a row, the last time with code {code}")
                wait = min(2.0**restarts, self._limits.longest_wait)
                restarts += 1
                await process.restart_after(wait, f"ended with code {code}; restart {restarts} in {wait:.0f} s")
                try:
                    await process.answers(self._limits.start_seconds)
                    break
                except ServingError:
                    if process.runs:  # it neither ends nor answers
                        raise
                    code = await process.ended()


def _groups(processes: "Sequence[_Process]") -> "list[list[_Process]]":
    """Servers that start one after another: those that share a GPU, or that run on the processor.

    vLLM measures what memory is left while it starts; another one that starts beside it would disturb that.
    """
    groups: list[tuple[set[int], list[_Process]]] = []
    for process in processes:
        gpus = set(process.server.gpus) or {-1}
        apart = [group for group in groups if not group[0] & gpus]
        joined = [group for group in groups if group[0] & gpus]
        members = [member for group in joined for member in group[1]]
        groups = [*apart, (gpus.union(*(group[0] for group in joined)), [*members, process])]
    return [members for _, members in groups]


class _Process:
    """One server's process, started anew as often as need be."""

    def __init__(self, server: ServerPlan, log: Path, watcher: Watcher, api_key: str | None) -> None:
        self.server = server
        self._log = log
        self._watcher = watcher
        self._environment = server.environment | ({"VLLM_API_KEY": api_key} if api_key else {})
        self._process: asyncio.subprocess.Process | None = None
        self._started_at = 0
        watcher.state(server, "waiting")

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def require_free_port(self) -> None:
        """Raises ServingError if somebody else listens at the server's address."""
        address = urlsplit(self.server.url)
        family = socket.AF_INET6 if ":" in (address.hostname or "") else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.settimeout(1)
            if probe.connect_ex((address.hostname, address.port)) == 0:
                raise ServingError(
                    f"{self.server.url} is taken: stop what listens there, or give [{self.server.role}] another "
                    "`port` (or this address as its `url`, if that is the model you want)"
                )

    async def start(self) -> None:
        """Start the process, in a group of its own."""
        self._watcher.state(self.server, "starting")
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with self._log.open("ab") as log:  # not a pipe, which a grandchild would hold open
                self._started_at = log.tell()
                self._process = await asyncio.create_subprocess_exec(
                    *self.server.command,
                    env={**os.environ, **self._environment},
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=asyncio.subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C is ours to handle, and the whole group can be ended
                    preexec_fn=_end_with_parent if sys.platform == "linux" else None,
                )
        except OSError as error:
            raise ServingError(f"cannot start the {self.server.role}'s server: {error}") from error

    async def answers(self, seconds: float) -> None:
        """Wait until the server says that it is well.

        Raises:
            ServingError: it ends, or does not answer in time.
        """
        deadline = time.monotonic() + seconds
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            while time.monotonic() < deadline:
                if not self.runs:
                    code = await self.ended()
                    raise self.failed(f"ended with code {code} before it was ready")
                with suppress(httpx.HTTPError):
                    if (await client.get(f"{self.server.url}/health")).status_code == HTTPStatus.OK:
                        self._watcher.state(self.server, "ready")
                        return
                for line in self._last_lines(1):
                    self._watcher.log(self.server, line)
                await asyncio.sleep(HEALTH_SECONDS)
        raise self.failed(f"did not answer within {seconds:.0f} s")

    async def ended(self) -> int:
        """Wait until the process is gone, end what it has left behind, and return its exit code."""
        if self._process is None:
            raise ServingError(f"the {self.server.role}'s server was not started")
        code = await self._process.wait()
        self._signal(signal.SIGKILL)
        return code

    async def restart_after(self, seconds: float, why: str) -> None:
        """Wait, and start the process again."""
        self._watcher.state(self.server, "restarting", why)
        await asyncio.sleep(seconds)
        await self.start()

    async def stop(self) -> None:
        """Ask the process to end; kill it, and all that it started, if it does not."""
        if self._process is None:
            return
        if self.runs:
            self._signal(signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        self._signal(signal.SIGKILL)
        await self.ended()
        self._watcher.state(self.server, "stopped")

    def failed(self, how: str) -> ServingError:
        """The error to raise, with the server's last words."""
        words = "".join(f"\n    {line}" for line in self._last_lines(TAIL_LINES))
        return ServingError(f"the {self.server.role}'s server {how}. Its log is {self._log}; it ends:{words}")

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):  # the group is empty
                os.killpg(self._process.pid, number)

    def _last_lines(self, count: int) -> list[str]:
        """What the process wrote last."""
        with suppress(OSError), self._log.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(self._started_at, end - TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
            return [line.strip() for line in lines if line.strip()][-count:]
        return []


def _end_with_parent() -> None:
    """In the child: be asked to end when this process is gone, even if it was killed (prctl(2))."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
