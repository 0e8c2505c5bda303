import asyncio
import os
import signal
import socket
import stat
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from rsd_graph.config import Role
from rsd_graph.errors import ServingError
from rsd_graph.serving.plan import ServerPlan
from rsd_graph.serving.process import ServerState
from rsd_graph.serving.supervisor import Limits, Supervisor, _start_locks
from tests.conftest import free_port

QUICK = Limits(health_seconds=0.02, longest_wait=0.01)
FAKE = Path(__file__).with_name("fake_vllm.py")


class Watch:
    """Remembers what happened, and lets a test wait for it."""

    def __init__(self) -> None:
        self.states: list[tuple[str, ServerState]] = []
        self.lines: list[str] = []
        self.all_ready = asyncio.Event()

    def state(self, server: ServerPlan, state: ServerState, detail: str = "") -> None:  # noqa: ARG002
        self.states.append((server.role, state))

    def log(self, server: ServerPlan, line: str) -> None:
        self.lines.append(f"{server.role}: {line}")

    def ready(self) -> None:
        self.all_ready.set()

    async def until(self, role: str, state: ServerState, times: int) -> None:
        """Wait for a state, at most half a minute."""
        async with asyncio.timeout(30):
            while self.states.count((role, state)) < times:  # noqa: ASYNC110  # an event for each would be no shorter
                await asyncio.sleep(0.02)


def fake(role: Role, model: str = "well", gpus: tuple[int, ...] = (0,)) -> ServerPlan:
    port = free_port()
    command = (sys.executable, str(FAKE), model, "--port", str(port))
    return ServerPlan(role, model, f"http://127.0.0.1:{port}", (command[0], command[1], "serve", *command[2:]), gpus)


def pids(folder: Path) -> set[int]:
    """Processes that have this folder in their environment, except zombies."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            mark = f"RSD_TEST_FOLDER={folder}".encode() in (process / "environ").read_bytes().split(b"\0")
            if mark and int(process.name) != os.getpid():
                found.add(int(process.name))
    return found


def supervise(
    servers: list[ServerPlan],
    folder: Path,
    during: Callable[[Watch], Awaitable[None]],
    limits: Limits = QUICK,
) -> Watch:
    """Run the servers, do something once all are ready, and stop; no process may be left."""
    marked = [replace(each, environment={"RSD_TEST_FOLDER": str(folder)}) for each in servers]

    async def run() -> Watch:
        watch = Watch()
        running = asyncio.create_task(Supervisor(marked, logs=folder, watcher=watch, limits=limits).run())
        ready = asyncio.create_task(watch.all_ready.wait())
        try:
            await asyncio.wait([running, ready], return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                await during(watch)
        finally:
            ready.cancel()
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
        return watch

    try:
        return asyncio.run(run())
    finally:
        deadline = time.monotonic() + 5
        while pids(folder) and time.monotonic() < deadline:  # a killed process takes a moment to go
            time.sleep(0.01)
        assert not pids(folder)


def main_pid(folder: Path, server: ServerPlan) -> int:
    """The fake server itself, not its child."""
    for pid in pids(folder):
        with suppress(OSError):
            if server.url.rsplit(":", 1)[1].encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
    raise AssertionError("the server does not run")


async def healthy(server: ServerPlan) -> bool:
    async with httpx2.AsyncClient(trust_env=False) as client:
        return (await client.get(f"{server.url}/health")).is_success


def test_servers_start_run_and_leave_nothing(tmp_path: Path) -> None:
    """All are healthy once they are reported ready; logs are kept; their children end with them."""
    draft, target = fake("draft", "slow"), fake("target")

    async def check(_: Watch) -> None:
        assert await healthy(draft)
        assert await healthy(target)
        assert len(pids(tmp_path)) == 4

    watch = supervise([draft, target], tmp_path, check)
    # one GPU: one after the other
    assert watch.states.index(("draft", "ready")) < watch.states.index(("target", "starting"))
    assert set(watch.states[-2:]) == {("draft", "stopped"), ("target", "stopped")}
    assert "draft: loading slow" in watch.lines
    assert (tmp_path / "target.log").read_text() == "loading well\n"


def test_a_server_that_is_killed_starts_again(tmp_path: Path) -> None:
    """What it left behind is killed first, so that its port and its memory are free."""
    draft = fake("draft")

    async def kill(watch: Watch) -> None:
        before = pids(tmp_path)
        os.kill(main_pid(tmp_path, draft), signal.SIGKILL)
        await watch.until("draft", "ready", 2)
        assert await healthy(draft)
        assert not before & pids(tmp_path)

    watch = supervise([draft], tmp_path, kill)
    assert ("draft", "restarting") in watch.states


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    """Its exit code and the end of its log; the others are stopped."""
    servers = [fake("draft"), fake("target", "never", gpus=(1,))]
    with pytest.raises(ServingError, match=r"(?s)target's server ended with code 3 .*target\.log.*no such model"):
        supervise(servers, tmp_path, _nothing)


def test_the_first_error_is_named_where_the_end_of_the_log_only_points_to_it(tmp_path: Path) -> None:
    """The engine of vLLM fails in a process of its own, and forty lines of the other's traceback follow."""
    with pytest.raises(ServingError) as caught:
        supervise([fake("draft", "broken")], tmp_path, _nothing)
    *_, last, first = str(caught.value).splitlines()
    assert "RuntimeError: Engine core initialization failed" in last
    assert first == "The first error in it: ValueError: too little free memory"


def test_a_server_that_never_answers_fails_the_run(tmp_path: Path) -> None:
    """When its time is over, with the end of its log."""
    with pytest.raises(ServingError, match=r"(?s)did not answer within 1 s.*loading deaf"):
        supervise([fake("draft", "deaf")], tmp_path, _nothing, replace(QUICK, start_seconds=1))


def test_a_server_that_keeps_dying_fails_the_run(tmp_path: Path) -> None:
    """Restarts are bounded."""
    draft = fake("draft")

    async def kill_each_time(watch: Watch) -> None:
        for times in range(2, 5):
            os.kill(main_pid(tmp_path, draft), signal.SIGKILL)
            await watch.until("draft", "ready" if times < 4 else "stopped", times if times < 4 else 1)

    with pytest.raises(ServingError, match="has ended 3 times in a row"):
        supervise([draft], tmp_path, kill_each_time, replace(QUICK, restarts=2))


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """Before anything starts."""
    draft = fake("draft")
    with (
        socket.create_server(("127.0.0.1", int(draft.url.rsplit(":", 1)[1]))),
        pytest.raises(ServingError, match=r"is already in use: .*another `port`"),
    ):
        supervise([draft], tmp_path, _nothing)


def test_servers_that_share_a_gpu_start_in_turn() -> None:
    """Also if they share it through a third one, or run on the CPU; the others start at the same time."""

    def different(*gpus: tuple[int, ...]) -> int:
        return len(set(_start_locks([fake("draft", gpus=each) for each in gpus])))

    assert different((0,), (1,), (2,)) == 3
    assert different((0,), (1,), (0, 1)) == 1
    assert different((), (), ()) == 1
    first, second, third = _start_locks([fake("draft", gpus=each) for each in ((0,), (1,), (1,))])
    assert first is not second
    assert second is third


def test_a_server_that_fails_the_run_stops_the_others(tmp_path: Path) -> None:
    """None of them is restarted."""
    draft, target = fake("draft"), fake("target", gpus=(1,))

    async def kill(watch: Watch) -> None:
        os.kill(main_pid(tmp_path, draft), signal.SIGKILL)
        await watch.until("draft", "stopped", 1)

    with pytest.raises(ServingError, match="draft's server has ended 1 times"):
        supervise([draft, target], tmp_path, kill, replace(QUICK, restarts=0))


def test_a_second_interrupt_does_not_wait(tmp_path: Path) -> None:
    """A server that does not end when asked to is killed, and nothing is left."""
    stubborn = fake("draft", "stubborn")

    async def interrupt_twice() -> None:
        watch = Watch()
        plan = replace(stubborn, environment={"RSD_TEST_FOLDER": str(tmp_path)})
        running = asyncio.create_task(Supervisor([plan], logs=tmp_path, watcher=watch, limits=QUICK).run())
        await watch.all_ready.wait()
        running.cancel()
        await asyncio.sleep(0.1)
        assert pids(tmp_path)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    asyncio.run(interrupt_twice())
    assert not pids(tmp_path)


async def _nothing(_: Watch) -> None: ...


def test_logs_are_their_owners_alone(tmp_path: Path) -> None:
    """And so is their folder, whatever the umask; a log that others could read is closed to them."""
    logs = tmp_path / "run" / "logs"
    before = os.umask(0)
    try:

        async def check(_: Watch) -> None:
            assert stat.S_IMODE((logs / "draft.log").stat().st_mode) == 0o600

        supervise([fake("draft")], logs, check)
        assert [stat.S_IMODE(folder.stat().st_mode) for folder in (logs, logs.parent)] == [0o700, 0o700]
        (logs / "draft.log").chmod(0o644)
        supervise([fake("draft")], logs, check)
    finally:
        os.umask(before)


def seen(what: str, folder: Path) -> list[bytes]:
    """What /proc shows of the processes of a folder."""
    return [Path(f"/proc/{pid}/{what}").read_bytes() for pid in pids(folder)]


def test_the_key_is_nowhere_but_in_the_servers_environment(tmp_path: Path) -> None:
    """Not in the arguments of any process, which everybody on the machine can list, and not in the log."""
    server = replace(fake("draft"), environment={"RSD_TEST_FOLDER": str(tmp_path)})

    async def run() -> list[bytes]:
        watch = Watch()
        supervisor = Supervisor([server], logs=tmp_path, watcher=watch, api_key="sk-hunter2", limits=QUICK)
        running = asyncio.create_task(supervisor.run())
        await asyncio.wait_for(watch.all_ready.wait(), 30)
        found = seen("cmdline", tmp_path)
        assert all(b"VLLM_API_KEY=sk-hunter2" in each for each in seen("environ", tmp_path))
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        return found

    commands = asyncio.run(run())
    assert len(commands) == 2
    assert not [each for each in commands if b"hunter2" in each]
    assert "hunter2" not in (tmp_path / "draft.log").read_text()
    assert "hunter2" not in str(server)


def test_a_log_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    """Writing to it would wait for a reader."""
    os.mkfifo(tmp_path / "draft.log")

    async def nothing(_: Watch) -> None: ...

    with pytest.raises(ServingError, match="cannot start the draft's server"):
        supervise([fake("draft")], tmp_path, nothing)
