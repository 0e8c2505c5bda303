import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from rsd_graph import background

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
