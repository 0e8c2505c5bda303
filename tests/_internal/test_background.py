import asyncio
import contextvars
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rsd_graph._internal import background

name = contextvars.ContextVar("name", default="nobody")


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    """Run a program that imports the module alone: it needs nothing of the package, whose import takes a second."""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=Path(background.__file__).parent,
    )


async def where() -> tuple[str, str]:
    await asyncio.sleep(0)
    return threading.current_thread().name, name.get()


def test_coroutines_run_on_one_thread_with_the_callers_context() -> None:
    """From no loop, from another loop, and from many threads."""
    name.set("ada")
    assert background.run(where()) == ("rsd-graph", "ada")
    assert asyncio.run(background.call(where())) == ("rsd-graph", "ada")
    with ThreadPoolExecutor() as pool:
        assert set(pool.map(lambda _: background.run(where())[0], range(20))) == {"rsd-graph"}


def test_a_cancelled_caller_cancels_the_work() -> None:
    """No work continues unseen after its caller has gone."""
    cancelled = threading.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def caller() -> None:
        await asyncio.wait_for(background.call(work()), 0.05)

    with pytest.raises(TimeoutError):
        asyncio.run(caller())
    assert cancelled.wait(10)


def test_waiting_for_oneself_is_refused() -> None:
    """A sync call on the background loop would never return."""

    async def nested() -> None:
        background.run(where())

    with pytest.raises(RuntimeError, match="ainvoke"):
        background.run(nested())


def test_a_forked_child_has_a_loop_of_its_own() -> None:
    """`multiprocessing` forks by default on Linux; the parent's thread is not there in the child."""
    code = (
        "import os, signal, background\n"
        "async def one(): return 1\n"
        "background.run(one())\n"
        "child = os.fork()\n"
        "if not child: signal.alarm(20); os._exit(background.run(one()))\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    assert run_python(code).stdout.strip() == "1"


def test_work_in_a_thread_does_not_hold_up_the_end() -> None:
    """Its result and its error come back; a program that exits does not wait for it."""
    assert asyncio.run(background.in_thread(lambda: 3)) == 3
    with pytest.raises(ZeroDivisionError):
        asyncio.run(background.in_thread(lambda: 1 // 0))
    code = (
        "import asyncio, time, background\n"
        "async def main(): await asyncio.wait_for(background.in_thread(lambda: time.sleep(600)), 0.1)\n"
        "asyncio.run(main())"
    )
    assert "TimeoutError" in run_python(code).stderr


class Counter:
    def __init__(self) -> None:
        self.count = 0

    @background.on_background_loop
    async def add(self, amount: int, *, times: int = 1) -> tuple[int, str]:
        """Add to the count."""
        self.count += amount * times
        return self.count, threading.current_thread().name

    @background.on_background_loop
    async def add_twice(self, amount: int) -> tuple[int, str]:
        await self.add(amount)
        return await self.add(amount)

    @background.on_background_loop
    async def fail(self) -> None:
        raise ZeroDivisionError


@background.on_background_loop
async def whose() -> tuple[str, str]:
    return await where()


def test_a_decorated_method_works_on_the_background_loop() -> None:
    """Whichever loop awaits it; arguments, result and name are its own."""
    counter = Counter()
    assert asyncio.run(counter.add(2)) == (2, "rsd-graph")
    assert asyncio.run(counter.add(amount=2, times=3)) == (8, "rsd-graph")
    assert background.run(counter.add(1)) == (9, "rsd-graph")
    assert (counter.add.__name__, counter.add.__doc__) == ("add", "Add to the count.")


def test_a_decorated_method_may_await_another() -> None:
    """On the loop already, it is a plain call: no deadlock."""
    assert asyncio.run(asyncio.wait_for(Counter().add_twice(2), 10)) == (4, "rsd-graph")


def test_a_decorated_function_sees_the_callers_context() -> None:
    """As a plain call would; LangGraph keeps a run's configuration there."""
    name.set("grace")
    assert asyncio.run(whose()) == ("rsd-graph", "grace")


def test_an_error_comes_back_from_the_background_loop() -> None:
    """As itself."""
    with pytest.raises(ZeroDivisionError):
        asyncio.run(Counter().fail())


def test_a_cancelled_caller_cancels_a_decorated_method() -> None:
    """A model's work ends with the run that wanted it."""
    cancelled = threading.Event()

    @background.on_background_loop
    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    async def caller() -> None:
        await asyncio.wait_for(work(), 0.05)

    with pytest.raises(TimeoutError):
        asyncio.run(caller())
    assert cancelled.wait(10)


def test_locks_are_shared_by_all_callers() -> None:
    """Calls from many threads, each with a loop of its own, find one another: that is why there is one loop."""
    lock = asyncio.Lock()
    inside = most = 0

    @background.on_background_loop
    async def visit() -> None:
        nonlocal inside, most
        async with lock:
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.001)
            inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: asyncio.run(visit()), range(16)))
    assert (inside, most) == (0, 1)


def test_each_process_makes_its_own() -> None:
    """A forked child makes another; the parent keeps the one it has."""
    code = (
        "import os, background\n"
        "each = background.PerProcess(os.getpid)\n"
        "mine = each.get()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    foreign, dropped = each.foreign, each.drop()\n"
        "    os._exit(int(foreign and dropped is None and not each.foreign and each.get() == os.getpid()))\n"
        "right = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n"
        "print(right, each.foreign, each.get() == mine, each.drop() == mine)"
    )
    assert run_python(code).stdout.split() == ["1", "False", "True", "True"]


def test_a_child_cannot_touch_the_parents_sockets() -> None:
    """It writes to them and shuts them down in vain: the parent's connection lives on, and its loop still hears it."""
    code = (
        "import asyncio, os, socket, background\n"
        "here, there = socket.socketpair()\n"
        "async def connect(): return await asyncio.open_connection(sock=here)\n"
        "reader, writer = background.run(connect())\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    for harm in (lambda: writer.write(b'child'), writer.write_eof, writer.transport.abort, writer.close):\n"
        "        try: harm()\n"
        "        except OSError: pass\n"
        "    os._exit(0)\n"
        "os.waitpid(child, 0)\n"
        "async def answer(): writer.write(b'parent'); return await reader.readexactly(2)\n"
        "there.sendall(b'ok')\n"
        "print(background.run(answer()).decode(), there.recv(99).decode())"
    )
    assert run_python(code).stdout.split() == ["ok", "parent"]


def test_calls_at_once_wake_the_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wake-up is a system call: a thousand problems would make thousands a second."""
    loop = background._background_loop()
    woken: list[Any] = []
    wake = loop.call_soon_threadsafe

    def counting(callback: Any, *arguments: Any, **context: Any) -> Any:
        woken.append(callback)
        return wake(callback, *arguments, **context)

    monkeypatch.setattr(loop, "call_soon_threadsafe", counting)

    async def double(number: int) -> int:
        await asyncio.sleep(0.01)
        return 2 * number

    free = threading.Event()
    wake(free.wait, 30)  # an idle loop on an idle core may be quicker than the calls come

    async def run() -> list[int]:
        calls = asyncio.gather(*(background.call(double(number)) for number in range(200)))
        await asyncio.sleep(0)  # all have begun
        free.set()
        return await calls

    assert asyncio.run(run()) == [2 * number for number in range(200)]
    assert len(woken) == 1


def test_a_loop_that_has_closed_gets_no_answer() -> None:
    """And the next caller gets its own."""
    ended = threading.Event()

    async def slow() -> None:
        await asyncio.sleep(0.05)
        ended.set()

    async def leave() -> None:
        asyncio.get_running_loop().call_later(0.01, asyncio.get_running_loop().stop)
        await background.call(slow())

    loop = asyncio.new_event_loop()
    task = loop.create_task(leave())
    loop.run_forever()
    loop.close()
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # as intended
    assert ended.wait(2)

    async def seven() -> int:
        return 7

    assert asyncio.run(background.call(seven())) == 7
