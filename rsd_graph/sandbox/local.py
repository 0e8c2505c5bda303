"""The sandbox of this machine: sessions over interpreters that are started ahead of need."""

import asyncio
import os
import threading
import weakref
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import lru_cache

from rsd_graph.errors import SandboxError
from rsd_graph.sandbox.backends import BACKENDS, PACKAGES, Backend
from rsd_graph.sandbox.interpreter import Interpreter
from rsd_graph.sandbox.limits import Limits
from rsd_graph.sandbox.protocols import Execution
from rsd_graph.sandbox.verify import verify

REMEDY = (
    "Nothing was executed. Run `rsd sandbox check`; on Ubuntu 24.04 allow user namespaces (`sysctl "
    "kernel.apparmor_restrict_unprivileged_userns=0`), or use a kernel with Landlock, or pass a sandbox of your own"
)


class LocalSandbox:
    """Runs code in interpreters behind the walls of this machine.

    Args:
        limits: What each interpreter may use.
        backends: Ways to start one; the first that holds is taken.
        preload: Packages that are imported ahead: sympy takes longer than everything else together.
    """

    def __init__(
        self, limits: Limits | None = None, backends: Sequence[Backend] = BACKENDS, preload: Sequence[str] = PACKAGES
    ) -> None:
        self._limits, self._backends, self._preload = limits or Limits(), backends, preload
        self._lock = threading.Lock()
        self._spare: Future[Interpreter] | None = None
        self._backend: Backend | None = None
        self._begin()
        _sandboxes.add(self)

    async def run(self, code: str, timeout: float = 5) -> Execution:  # noqa: ASYNC109  # the code's time
        """See `Sandbox.run`."""
        async with self.session() as session:
            return await session.run(code, timeout)

    @asynccontextmanager
    async def session(self, history: Sequence[str] = ()) -> "AsyncIterator[LocalSession]":
        """See `Sandbox.session`."""
        session = LocalSession(self, history)
        try:
            yield session
        finally:
            session.close()

    async def backend(self) -> str:
        """The name of the backend in use.

        Raises:
            SandboxError: none protects here.
        """
        return (await asyncio.wrap_future(self._workers.submit(self._checked))).name

    def close(self) -> None:
        """End the interpreter that waits for its turn; the sandbox can be used again."""
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is not None:
            with suppress(SandboxError, OSError):
                spare.result().release()

    def _begin(self) -> None:
        self._workers = ThreadPoolExecutor(self._limits.at_once, "rsd-sandbox")
        self._starter = ThreadPoolExecutor(1, "rsd-sandbox-start")  # interpreters end with the thread that started them

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        _left_to_parents.append((self._spare, self._workers, self._starter))
        self._spare = None
        self._begin()

    def _checked(self) -> Backend:
        with self._lock:
            if self._backend is None:
                self._backend = self._starter.submit(self._choose).result()
            return self._backend

    def _choose(self) -> Backend:
        reasons = []
        for backend in self._backends:
            try:
                verify(backend, self._limits)
            except (SandboxError, OSError) as error:
                reasons.append(str(error))
            else:
                return backend
        raise SandboxError(f"no sandbox protects this machine: {'; '.join(reasons)}. {REMEDY}")

    def _start(self, backend: Backend) -> "Future[Interpreter]":
        return self._starter.submit(Interpreter, backend, self._limits, self._preload)

    def _take(self) -> Interpreter:
        """The interpreter that was started ahead, and start the next."""
        backend = self._checked()
        with self._lock:
            taken = self._spare or self._start(backend)
            self._spare = self._start(backend)
        interpreter = taken.result()
        if interpreter.alive:
            return interpreter
        interpreter.release()
        return self._start(backend).result()


class LocalSession:
    """Made by `LocalSandbox.session`."""

    def __init__(self, sandbox: LocalSandbox, history: Sequence[str]) -> None:
        self._sandbox, self._history = sandbox, list(history)
        self._interpreter: Interpreter | None = None
        self._closed = False
        self._lock = threading.Lock()  # a run that was cancelled may still be ending

    async def run(self, code: str, timeout: float = 5) -> Execution:  # noqa: ASYNC109  # the code's time
        """See `Session.run`."""
        future = self._sandbox._workers.submit(self._run, code, timeout)  # noqa: SLF001  # its own session
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            self._kill()
            raise

    def close(self) -> None:
        """End the interpreter, at once."""
        self._closed = True
        self._kill()

    def _kill(self) -> None:
        interpreter = self._interpreter
        if interpreter is not None:
            interpreter.close()
            if self._lock.acquire(blocking=False):  # else the thread that uses it releases it
                try:
                    self._release()
                finally:
                    self._lock.release()

    def _release(self) -> None:
        if self._interpreter is not None:
            self._interpreter.release()
            self._interpreter = None

    def _run(self, code: str, timeout: float) -> Execution:
        with self._lock:
            try:
                interpreter = self._rebuilt(timeout)
                result = interpreter.run(code, timeout)
            except BaseException:
                self._release()
                raise
            if result.restarted or self._closed:
                self._release()
            if not result.restarted:
                self._history.append(code)
            return result

    def _rebuilt(self, timeout: float) -> Interpreter:
        """The interpreter with all earlier blocks in it."""
        if self._closed:
            raise SandboxError("the session is closed")
        if self._interpreter is not None and self._interpreter.alive:
            return self._interpreter
        self._release()
        self._interpreter = self._sandbox._take()  # noqa: SLF001
        for block in list(self._history):
            if self._interpreter.run(block, timeout).restarted:  # not again: it would end every one after it
                self._history.remove(block)
                return self._rebuilt(timeout)
        return self._interpreter


_sandboxes: "weakref.WeakSet[LocalSandbox]" = weakref.WeakSet()
_left_to_parents: list[object] = []
"""In a forked process: never ended here, and not warned of."""


def _forget_all() -> None:
    for sandbox in list(_sandboxes):
        sandbox._after_fork()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


@lru_cache(1)
def default_sandbox() -> LocalSandbox:
    """The sandbox of this process: the strongest protection that this machine offers, found out before first use."""
    import atexit

    sandbox = LocalSandbox()
    atexit.register(sandbox.close)
    return sandbox
