"""Real `vllm serve` processes on the processor, started by this package's own supervisor."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from rsd_graph.config import Role
from rsd_graph.serving.plan import ServerPlan
from rsd_graph.serving.process import ServerState
from rsd_graph.serving.run import vllm_command
from rsd_graph.serving.supervisor import Limits, Supervisor
from tests.conftest import free_port

BLOCK = 32
"""Tokens of a prefix that are cached together; the least that vLLM takes on a processor (16 on a GPU)."""
CONTEXT = 8192
ENGINE_FLAGS = ("--dtype", "float32", "--enforce-eager", "--max-model-len", str(CONTEXT), "--block-size", str(BLOCK))
FLAGS = (*ENGINE_FLAGS, "--enable-prefix-caching", "--enable-prompt-tokens-details", "--generation-config", "vllm")

os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(autouse=True)
def _no_waiting() -> None:
    """Here servers really start again, and are waited for: overrides the fixture of all tests."""


class Quiet:
    """Watches a supervisor and only waits for it."""

    def __init__(self) -> None:
        self.answered = threading.Event()

    def state(self, server: ServerPlan, state: ServerState, detail: str = "") -> None: ...
    def log(self, server: ServerPlan, line: str) -> None: ...
    def ready(self) -> None:
        self.answered.set()


@contextmanager
def serving(model: Path, logs: Path, *flags: str, role: Role = "reward") -> Iterator[str]:
    """The address of a server of this checkpoint."""
    port = free_port()
    command = (vllm_command(), "serve", str(model), "--host", "127.0.0.1", "--port", str(port), *FLAGS, *flags)
    server = ServerPlan(role, str(model), f"http://127.0.0.1:{port}", command)
    watcher = Quiet()
    ended: Future[None] = Future()
    stop: list[Callable[[], None]] = []

    def run() -> None:
        async def supervise() -> None:
            task = asyncio.current_task()
            assert task
            loop = asyncio.get_running_loop()
            stop.append(lambda: loop.call_soon_threadsafe(task.cancel))  # type: ignore[arg-type]
            with suppress(asyncio.CancelledError):
                await Supervisor([server], logs=logs, watcher=watcher, limits=Limits(start_seconds=600)).run()

        try:
            asyncio.run(supervise())
            ended.set_result(None)
        except BaseException as error:  # noqa: BLE001  # raised below
            ended.set_exception(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        while not watcher.answered.wait(0.2):
            if ended.done():
                ended.result()
        yield server.url
    finally:
        stop[0]()
        thread.join()
        ended.result()


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the servers' logs go."""
    return tmp_path_factory.mktemp("logs")
