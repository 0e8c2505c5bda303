"""Runs model servers, and leaves no process behind.

They start in an order that suits their GPUs, are waited for, and are started again when they die.
"""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, Protocol
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


END_WITH_PARENT = (
    (
        sys.executable,
        "-IS",
        "-c",
        "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 15); os.execvp(sys.argv[1], sys.argv[1:])",
    )
    if sys.platform == "linux"
    else ()
)
"""Put before a command: it is asked to end (SIGTERM) when this process is gone, even if that was killed (prctl(2)).
Not a `preexec_fn`, which could lock up between fork and exec where threads run."""


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
        self._processes = [
            _Process(server, logs / f"{server.role}.log", watcher, api_key, turn)
            for server, turn in zip(servers, _turns(servers), strict=True)
        ]
        self._watcher = watcher

    async def run(self) -> None:
        """Start all servers and keep them running until cancelled; then stop them all.

        Cancelled once more, it does not wait for them to end by themselves.

        Raises:
            ServingError: a server does not start, or dies again and again; the message ends with its last words.
        """
        try:
            for process in self._processes:
                process.require_free_port()
            await _together(self._bring_up(process) for process in self._processes)
            self._watcher.ready()
            await _together(self._keep(process) for process in self._processes)
        finally:
            stopping = asyncio.gather(*(process.stop() for process in self._processes))
            while not stopping.done():
                try:
                    await asyncio.shield(stopping)
                except asyncio.CancelledError:
                    for process in self._processes:
                        process.kill()

    async def _bring_up(self, process: "_Process") -> None:
        async with process.turn:
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
                process.tell("restarting", f"ended with code {code}; restart {restarts} in {wait:.0f} s")
                await asyncio.sleep(wait)
                try:
                    await self._bring_up(process)
                    break
                except ServingError:
                    if process.runs:  # it neither ends nor answers
                        raise
                    code = await process.ended()


async def _together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all of it; the first to fail ends the others, and its error is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


def _turns(servers: Sequence[ServerPlan]) -> list[asyncio.Lock]:
    """One lock a server, the same for those that must not start at once: on a common GPU, or on the processor.

    vLLM measures what memory is left while it starts; another one that starts beside it would disturb that.
    """
    gpus = [set(server.gpus) or {-1} for server in servers]
    group = list(range(len(servers)))
    for one, other in combinations(range(len(servers)), 2):
        if gpus[one] & gpus[other]:
            group = [group[one] if each == group[other] else each for each in group]
    locks = {each: asyncio.Lock() for each in group}
    return [locks[each] for each in group]


class _Process:
    """One server's process, started anew as often as need be."""

    def __init__(
        self, server: ServerPlan, log: Path, watcher: Watcher, api_key: str | None, turn: asyncio.Lock
    ) -> None:
        self.server = server
        self.turn = turn
        """Held while it starts."""
        self._log = log
        self._watcher = watcher
        # no key of ours is no key at all: a client would not know one from the environment
        inherited = {name: value for name, value in os.environ.items() if name != "VLLM_API_KEY"}
        self._environment = inherited | server.environment | ({"VLLM_API_KEY": api_key} if api_key else {})
        self._process: asyncio.subprocess.Process | None = None
        self._started_at = 0
        self.tell("waiting")

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def require_free_port(self) -> None:
        """Raises ServingError if somebody else listens at the server's address."""
        address = urlsplit(self.server.url)
        family = socket.AF_INET6 if ":" in (address.hostname or "") else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.settimeout(1)
            try:
                taken = probe.connect_ex((address.hostname, address.port)) == 0
            except OSError as error:
                raise ServingError(f"cannot listen at {self.server.url}: {error}") from error
            if taken:
                raise ServingError(
                    f"{self.server.url} is taken: stop what listens there, or give [{self.server.role}] another "
                    "`port` (or this address as its `url`, if that is the model you want)"
                )

    async def start(self) -> None:
        """Start the process, in a group of its own."""
        self.tell("starting")
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with self._log.open("ab") as log:  # not a pipe, which a grandchild would hold open
                self._started_at = log.tell()
                self._process = await asyncio.create_subprocess_exec(
                    *END_WITH_PARENT,
                    *self.server.command,
                    env=self._environment,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=asyncio.subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C is ours to handle, and the whole group can be ended
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
                        self.tell("ready")
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
        self.kill()
        return code

    async def stop(self) -> None:
        """Ask the process to end; kill it, and all that it started, if it does not."""
        if self._process is None:
            return
        if self.runs:
            self._signal(signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        self.kill()
        await self.ended()
        self.tell("stopped")

    def kill(self) -> None:
        """End the process, and all that it started, at once."""
        self._signal(signal.SIGKILL)

    def tell(self, state: State, detail: str = "") -> None:
        """Tell the watcher."""
        self._watcher.state(self.server, state, detail)

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
