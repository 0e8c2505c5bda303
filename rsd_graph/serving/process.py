"""One model server's process: started, watched until it answers, and ended with all that it has started."""

import asyncio
import os
import re
import signal
import socket
import sys
import time
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import urlsplit

import aiohttp

from rsd_graph._internal.files import open_private
from rsd_graph.errors import ServingError
from rsd_graph.serving.plan import ServerPlan

ServerState = Literal["waiting", "starting", "ready", "restarting", "stopped"]

STOP_SECONDS = 20.0
"""A server that has not stopped this long after it was asked to is killed."""
TAIL_LINES = 12
TAIL_BYTES = 16384
HEAD_BYTES = 2**20
"""How much of a log is searched for the first error in it."""
ERROR_LINE = re.compile(
    r"^(?:\([^)\n]*\) )*(?:ERROR [^\n\]]*\] )?((?:\w+\.)*\w*(?:Error|Exception)(?::.*)?)$", re.MULTILINE
)
"""The last line of a traceback, as vLLM writes it: behind the names of its processes, and maybe its log's prefix."""

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
"""Prefix of a command: the command gets a SIGTERM when this process is gone, even if that was killed (prctl(2)).
A `preexec_fn` could deadlock between fork and exec, because this process has threads."""


class Watcher(Protocol):
    """Receives what happens to the servers."""

    def state(self, server: ServerPlan, state: ServerState, detail: str = "") -> None:
        """A server has changed its state."""

    def log(self, server: ServerPlan, line: str) -> None:
        """The last line in the log of a server that is starting."""

    def ready(self) -> None:
        """All servers are ready."""


class ServerProcess:
    """The process of one server; it can be started again after it has ended."""

    def __init__(
        self, server: ServerPlan, log: Path, watcher: Watcher, api_key: str | None, start_lock: asyncio.Lock
    ) -> None:
        self.server = server
        self.start_lock = start_lock
        """Must be held while the server starts."""
        self._log = log
        self._watcher = watcher
        # without `api_key` the servers need no key, even if this environment has one: the client would not send it
        inherited = {name: value for name, value in os.environ.items() if name != "VLLM_API_KEY"}
        self._environment = inherited | server.environment | ({"VLLM_API_KEY": api_key} if api_key else {})
        self._process: asyncio.subprocess.Process | None = None
        self._started_at = 0
        self.report("waiting")

    @property
    def running(self) -> bool:
        """Whether the process has started and not ended."""
        return self._process is not None and self._process.returncode is None

    def require_free_port(self) -> None:
        """Check that nothing listens at the server's address.

        Raises:
            ServingError: something does.
        """
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
                    f"{self.server.url} is already in use: stop the server there, or give [{self.server.role}] another "
                    "`port` (or this address as its `url`, if that server has the model you want)"
                )

    async def start(self) -> None:
        """Start the process, in a group of its own."""
        self.report("starting")
        try:
            with open_private(self._log) as log:  # a pipe would be held open by grandchildren
                self._started_at = log.tell()
                self._process = await asyncio.create_subprocess_exec(
                    *END_WITH_PARENT,
                    *self.server.command,
                    env=self._environment,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=asyncio.subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C reaches this process alone, and the whole group can be killed
                )
        except OSError as error:
            raise ServingError(f"cannot start the {self.server.role}'s server: {error}") from error

    async def wait_until_ready(self, seconds: float, pause: float) -> None:
        """Wait until the server is healthy.

        Args:
            seconds: How long to wait at most.
            pause: Seconds between two health checks.

        Raises:
            ServingError: it ends, or is not healthy in time.
        """
        deadline = time.monotonic() + seconds
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as client:
            while time.monotonic() < deadline:
                if not self.running:
                    code = await self.wait()
                    raise self.failure(f"ended with code {code} before it was ready")
                with suppress(aiohttp.ClientError, TimeoutError):
                    async with client.get(f"{self.server.url}/health") as health:
                        if health.status == HTTPStatus.OK:
                            self.report("ready")
                            return
                for line in self._last_lines(1):
                    self._watcher.log(self.server, line)
                await asyncio.sleep(pause)
        raise self.failure(f"did not answer within {seconds:.0f} s")

    async def wait(self) -> int:
        """Wait until the process has ended, kill what it has left behind, and return its exit code."""
        if self._process is None:
            raise ServingError(f"the {self.server.role}'s server was not started")
        code = await self._process.wait()
        self.kill()
        return code

    async def stop(self) -> None:
        """Ask the process to stop, wait, then kill what is left of it and of the processes it has started."""
        if self._process is None:
            return
        if self.running:
            self._signal(signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        self.kill()
        await self.wait()
        self.report("stopped")

    def kill(self) -> None:
        """Kill the process, and all that it has started, at once."""
        self._signal(signal.SIGKILL)

    def report(self, state: ServerState, detail: str = "") -> None:
        """Report the state to the watcher."""
        self._watcher.state(self.server, state, detail)

    def failure(self, how: str) -> ServingError:
        """The error to raise, with the last lines of the log, and the first error in it if that is no longer there."""
        lines = self._last_lines(TAIL_LINES)
        tail = "".join(f"\n    {line}" for line in lines)
        first = self._first_error()
        cause = "" if first is None or any(first in line for line in lines) else f"\nThe first error in it: {first}"
        return ServingError(f"the {self.server.role}'s server {how}. Its log {self._log} ends with:{tail}{cause}")

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):  # all of it has ended
                os.killpg(self._process.pid, number)

    def _first_error(self) -> str | None:
        """The first error that this run of the process has written: vLLM's later ones only point to it."""
        with suppress(OSError), self._log.open("rb") as log:
            log.seek(self._started_at)
            found = ERROR_LINE.search(log.read(HEAD_BYTES).decode(errors="replace"))
            return found[1].strip() if found else None
        return None

    def _last_lines(self, count: int) -> list[str]:
        """The last lines that this run of the process has written."""
        with suppress(OSError), self._log.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(self._started_at, end - TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
            return [line.strip() for line in lines if line.strip()][-count:]
        return []
