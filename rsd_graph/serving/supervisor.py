"""Runs model servers, restarts those that die, and leaves no process behind."""

import asyncio
import time
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from rsd_graph.errors import ServingError
from rsd_graph.serving.plan import ServerPlan
from rsd_graph.serving.process import ServerProcess, Watcher

STABLE_SECONDS = 600.0
"""A server that ran this long before it died starts a new count of restarts."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to wait, and when to give up."""

    start_seconds: float = 3600
    """For a server to become ready, including the download of its weights."""
    health_seconds: float = 0.5
    """Between two health checks of a server that starts."""
    restarts: int = 5
    """Of one server, in a row."""
    longest_wait: float = 60
    """Seconds before a restart. The first wait is one second, and each is twice the one before, up to this."""


class Supervisor:
    """Keeps the servers of a plan running.

    Args:
        servers: What to run.
        logs: Folder for the log files, one per server; a restarted server appends to its file.
        watcher: Receives every change.
        api_key: Passed to the servers in `VLLM_API_KEY`, so that it does not show in the process list.
        limits: How long to wait, and when to give up.
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
            ServerProcess(server, logs / f"{server.role}.log", watcher, api_key, lock)
            for server, lock in zip(servers, _start_locks(servers), strict=True)
        ]
        self._watcher = watcher

    async def run(self) -> None:
        """Start all servers and keep them running until cancelled; then stop them all.

        A second cancellation kills them without waiting.

        Raises:
            ServingError: a server does not start, or keeps dying; the message ends with the last lines of its log.
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

    async def _bring_up(self, process: ServerProcess) -> None:
        async with process.start_lock:
            await process.start()
            await process.wait_until_ready(self._limits.start_seconds, self._limits.health_seconds)

    async def _keep(self, process: ServerProcess) -> None:
        restarts = 0
        while True:
            since = time.monotonic()
            code = await process.wait()
            restarts = 0 if time.monotonic() - since > STABLE_SECONDS else restarts
            while True:
                if restarts == self._limits.restarts:
                    raise process.failure(f"has ended {restarts + 1} times in a row, most recently with code {code}")
                wait = min(2.0**restarts, self._limits.longest_wait)
                restarts += 1
                process.report("restarting", f"ended with code {code}; restart {restarts} in {wait:.0f} s")
                await asyncio.sleep(wait)
                try:
                    await self._bring_up(process)
                    break
                except ServingError:
                    if process.running:  # it hangs: a restart would not help
                        raise
                    code = await process.wait()


async def _together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all coroutines at once. The first one to fail cancels the others, and its error is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


def _start_locks(servers: Sequence[ServerPlan]) -> list[asyncio.Lock]:
    """A lock for each server; servers that share a GPU, even through a third one, or run on the CPU, share a lock.

    vLLM measures the free memory while it starts, and another server that starts at the same time would distort that.
    """
    gpus = [set(server.gpus) or {-1} for server in servers]
    group = list(range(len(servers)))
    for one, other in combinations(range(len(servers)), 2):
        if gpus[one] & gpus[other]:
            group = [group[one] if each == group[other] else each for each in group]
    locks = {each: asyncio.Lock() for each in group}
    return [locks[each] for each in group]
