"""One event loop in a thread of its own, started on first use.

HTTP clients belong to the event loop that opened their connections. The backends keep theirs on this one, so that the
same model can be called from `invoke` (no loop), from `batch` (many threads) and from any number of `asyncio.run`.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None


def _background_loop() -> asyncio.AbstractEventLoop:
    global _loop, _thread  # noqa: PLW0603  # one loop a process is the point
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            _thread = threading.Thread(target=_loop.run_forever, name="rsd-graph", daemon=True)
            _thread.start()
        return _loop


def _forget() -> None:
    """A forked child has the loop and not its thread: it starts one of its own."""
    global _lock, _loop, _thread
    _lock, _loop, _thread = threading.Lock(), None, None


os.register_at_fork(after_in_child=_forget)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run the coroutine on the background loop and wait for its result, from code that is not async.

    Raises:
        RuntimeError: called on that loop itself, which would wait for itself.
    """
    loop = _background_loop()
    if threading.current_thread() is _thread:
        coroutine.close()
        raise RuntimeError("a model or reward called `invoke` while `invoke` was running it: call `ainvoke` there")
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    try:
        return future.result()
    except BaseException:  # Ctrl-C while waiting: the work must not go on unseen
        future.cancel()
        raise


async def call(coroutine: Coroutine[Any, Any, T]) -> T:
    """Await the coroutine on the background loop, from any loop, that one included."""
    loop = _background_loop()
    if asyncio.get_running_loop() is loop:
        return await coroutine
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, loop))


async def in_thread(function: Callable[[], T]) -> T:
    """Call the function in a thread of its own that does not hold up the program's end.

    The threads of `asyncio.to_thread` do: Ctrl-C would wait for what they are at, a download for one.
    """
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # from here on, nobody can cancel it

    def work() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001  # raised where it is awaited
            future.set_exception(error)

    threading.Thread(target=work, name="rsd-graph-work", daemon=True).start()
    return await asyncio.wrap_future(future)
