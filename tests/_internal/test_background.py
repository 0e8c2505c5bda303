import asyncio
import contextvars
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from rsd_graph._internal import background

name = contextvars.ContextVar("name", default="nobody")


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
    """Nothing goes on unseen behind a caller that has gone."""
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
    """A sync call on the background loop would hang for ever."""

    async def nested() -> None:
        background.run(where())

    with pytest.raises(RuntimeError, match="ainvoke"):
        background.run(nested())


def test_a_forked_child_has_a_loop_of_its_own() -> None:
    """`multiprocessing` forks by default on Linux; the parent's thread is not there in the child."""
    code = (
        "import os, signal; from rsd_graph._internal import background\n"
        "async def one(): return 1\n"
        "background.run(one())\n"
        "child = os.fork()\n"
        "if not child: signal.alarm(20); os._exit(background.run(one()))\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "1"


def test_work_in_a_thread_does_not_hold_up_the_end() -> None:
    """Its result and its error come back; a program that ends does not wait for it."""
    assert asyncio.run(background.in_thread(lambda: 3)) == 3
    with pytest.raises(ZeroDivisionError):
        asyncio.run(background.in_thread(lambda: 1 // 0))
    code = (
        "import asyncio, time; from rsd_graph._internal import background\n"
        "async def main(): await asyncio.wait_for(background.in_thread(lambda: time.sleep(600)), 0.1)\n"
        "asyncio.run(main())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert "TimeoutError" in run.stderr
