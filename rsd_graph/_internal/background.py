"""One event loop in a thread of its own, started on first use, on which all models do their work.

An HTTP client belongs to the event loop that opened its connections, and so do locks and engines in this process. Users
call a model from many loops: from `invoke` (no loop at all), from `batch` (many threads), and from any number of
`asyncio.run`, each of which closes its loop at the end. One loop that outlives them all lets a model keep its
connections, and lets the embedded models share one lock on the cores, whoever calls them.

A forked child has neither the thread nor any right to the connections. It starts a loop of its own; whatever holds
connections or locks is kept in a `PerProcess` and made anew; and the sockets of the parent's loop, of which the child
has copies, are replaced there by dead ones, so that nothing in the child can write to them or shut them down.
"""

import asyncio
import ctypes
import functools
import os
import selectors
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from contextlib import suppress
from contextvars import copy_context
from typing import Any, Generic, ParamSpec, TypeVar
from weakref import WeakKeyDictionary, WeakSet

P = ParamSpec("P")
T = TypeVar("T")

CLOSING_TURNS = 10
"""Turns of the loop that cancelled work has to close what it has open."""
PATIENCE = 0.2
"""Seconds between two looks of a waiting thread at whether the main thread was interrupted."""

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None
_selector: selectors.BaseSelector | None = None
_generation = object()
"""This process, as opposed to those it was forked from."""


def _background_loop() -> asyncio.AbstractEventLoop:
    global _loop, _selector, _thread  # noqa: PLW0603  # one loop per process is the point
    if _loop is not None and _thread is not None:
        return _loop
    with _lock:
        if _loop is None:
            if os.name == "posix":
                _selector = selectors.DefaultSelector()
                _loop = asyncio.SelectorEventLoop(_selector)
            else:
                _loop = asyncio.new_event_loop()
            _thread = threading.Thread(target=_loop.run_forever, name="rsd-graph", daemon=True)
            _thread.start()
        return _loop


def _forget() -> None:
    """A forked child inherits the loop but not its thread: it starts a loop of its own."""
    global _generation, _lock, _loop, _selector, _thread
    _abandon(_loop)
    for each in list(PerProcess.all):
        _abandon(each.made)
    if _selector is not None:
        _disconnect(_selector)
    _mailboxes.clear()  # what is in them is the parent's
    _generation, _lock, _loop, _selector, _thread = object(), threading.Lock(), None, None, None


def _abandon(parents: object) -> None:
    """Keep an object of the parent's from ever being destroyed here: that may wait for threads that do not exist."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(parents))


def _disconnect(selector: selectors.BaseSelector) -> None:
    """Replace this process's copies of the selector's sockets by dead ones, and of its kernel object by one of its own.

    Both are shared with the parent: what is shut down or unregistered here would be so there.
    """
    keys = list(selector.get_map().values())
    dead, other_end = socket.socketpair()
    other_end.close()
    for key in keys:
        with suppress(OSError):
            os.dup2(dead.fileno(), key.fd, inheritable=False)
    dead.close()
    kernels: Any = selector
    if hasattr(kernels, "fileno"):  # epoll and kqueue
        fresh = type(kernels)()
        for key in keys:
            with suppress(OSError):
                fresh.register(key.fd, key.events)
        os.dup2(fresh.fileno(), kernels.fileno(), inheritable=False)
        fresh.close()


os.register_at_fork(after_in_child=_forget)


class PerProcess(Generic[T]):
    """Something that is made on first use in each process: a forked child never gets its parent's.

    Args:
        make: Makes it.
    """

    all: "WeakSet[PerProcess[Any]]" = WeakSet()  # noqa: RUF012  # shared by all on purpose

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self.made: tuple[object, T] | None = None
        PerProcess.all.add(self)

    def get(self) -> T:
        """The one of this process."""
        if self.made is None or self.foreign:
            self.made = (_generation, self._make())
        return self.made[1]

    def drop(self) -> T | None:
        """Forget it, so that the next use makes another. Returns the one of this process, if there is one."""
        made, foreign, self.made = self.made, self.foreign, None
        return None if made is None or foreign else made[1]

    @property
    def foreign(self) -> bool:
        """Whether what there is was made in a process that this one was forked from."""
        return self.made is not None and self.made[0] is not _generation


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run the coroutine on the background loop and wait for its result, from code that is not async.

    Raises:
        RuntimeError: called on the background loop itself, which would wait for itself.
    """
    loop = _background_loop()
    if threading.current_thread() is _thread:
        coroutine.close()
        raise RuntimeError("a model or reward called `invoke` while `invoke` was running it: call `ainvoke` there")
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    try:
        while not future.done():
            wait([future], PATIENCE)
            if _interrupted():
                raise KeyboardInterrupt
        return future.result()
    except BaseException:  # Ctrl-C while waiting: the work must not continue unseen
        if future.cancel():
            _let_it_end(loop)
        raise


def _let_it_end(loop: asyncio.AbstractEventLoop) -> None:
    """Give cancelled work the turns of the loop in which it closes what it has open, before the program may end."""

    async def turns() -> None:
        for _ in range(CLOSING_TURNS):
            await asyncio.sleep(0)

    with suppress(TimeoutError):
        asyncio.run_coroutine_threadsafe(turns(), loop).result(PATIENCE)


def _interrupted() -> bool:
    """Whether the main thread is on its way out after Ctrl-C, and waits for this one.

    Only the main thread gets the interrupt. LangGraph's `stream` and `batch` then wait for the threads in which they
    run the nodes, and those wait here for a model that may never answer.
    """
    if threading.current_thread() is threading.main_thread():
        return False
    error: Any = sys._current_exceptions().get(threading.main_thread().ident or 0)  # noqa: SLF001  # documented; no other
    return isinstance(error[1] if isinstance(error, tuple) else error, KeyboardInterrupt)  # a tuple in Python 3.11


async def call(coroutine: Coroutine[Any, Any, T]) -> T:
    """Await the coroutine on the background loop, from any loop, including the background loop itself."""
    loop, here = _background_loop(), asyncio.get_running_loop()
    if here is loop:
        return await coroutine
    errand = _Errand(coroutine, loop, here)
    try:
        return await errand.answer
    except asyncio.CancelledError:
        errand.cancel()
        raise


class _Mailbox:
    """What other threads want a loop to do. Waking a loop is a system call: one for all that has gathered."""

    def __init__(self) -> None:
        self._letters: deque[Callable[[], None]] = deque()
        self._is_waking = False

    def put(self, letter: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
        """Put it in, and wake the loop unless somebody has."""
        self._letters.append(letter)
        if not self._is_waking:
            self._is_waking = True
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._open)

    def _open(self) -> None:
        self._is_waking = False  # first: whoever puts something in from here on wakes the loop once more
        while self._letters:
            self._letters.popleft()()


_mailboxes: "WeakKeyDictionary[asyncio.AbstractEventLoop, _Mailbox]" = WeakKeyDictionary()


def _post(loop: asyncio.AbstractEventLoop, letter: Callable[[], None]) -> None:
    """Have the loop call this soon, from any thread. Nothing happens if the loop is closed."""
    box = _mailboxes.get(loop) or _mailboxes.setdefault(loop, _Mailbox())
    box.put(letter, loop)


class _Errand(Generic[T]):
    """A coroutine that runs on one loop, and whose answer is awaited on another."""

    def __init__(
        self, coroutine: Coroutine[Any, Any, T], there: asyncio.AbstractEventLoop, here: asyncio.AbstractEventLoop
    ) -> None:
        self.answer: asyncio.Future[T] = here.create_future()
        self._coroutine = coroutine
        self._there = there
        self._here = here
        self._context = copy_context()
        self._task: asyncio.Task[T] | None = None
        _post(there, self._begin)

    def cancel(self) -> None:
        """End the work, without waiting for its end."""
        _post(self._there, self._end)

    def _begin(self) -> None:
        self._task = self._there.create_task(self._coroutine, context=self._context)
        self._task.add_done_callback(self._done)

    def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _done(self, task: "asyncio.Task[T]") -> None:
        if not task.cancelled():
            task.exception()  # it has been seen, though nobody may be left to whom it matters
        _post(self._here, self._deliver)

    def _deliver(self) -> None:
        task, answer = self._task, self.answer
        if task is None or answer.done():
            return
        if task.cancelled():
            answer.cancel()
        elif error := task.exception():
            answer.set_exception(error)
        else:
            answer.set_result(task.result())


def on_background_loop(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Make an async function or method do its work on the background loop, whichever loop awaits it.

    On that loop already, as when one such method awaits another, it is a plain call. The caller's context variables
    are visible; a caller that is cancelled cancels the work.
    """

    @functools.wraps(function)
    async def hopping(*args: P.args, **kwargs: P.kwargs) -> T:
        return await call(function(*args, **kwargs))

    return hopping


async def in_thread(function: Callable[[], T]) -> T:
    """Call the function in a thread of its own that does not delay the program's exit.

    The threads of `asyncio.to_thread` do delay it: Ctrl-C would wait for their work, such as a download.
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
