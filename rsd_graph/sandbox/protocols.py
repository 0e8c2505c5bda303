"""The interface of a sandbox: what the tool node calls, and what another sandbox (E2B, Docker) has to offer."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Execution:
    """What a block of code did.

    `output` is what it printed; if it printed nothing and its last statement is an expression, the value. `error` says
    what went wrong, and is empty if nothing did; the last line is the exception as Python names it, such as
    `NameError: name 'x' is not defined`, and lines of the code that led there may precede it.
    """

    output: str
    error: str = ""
    timed_out: bool = False
    """Whether it was stopped because its time was up."""
    restarted: bool = False
    """Whether the interpreter ended with it: what this block defined is lost; earlier blocks are run again before the
    next."""


class Session(Protocol):
    """Blocks of code that share variables, imports and functions."""

    async def run(self, code: str, timeout: float = 5) -> Execution:  # noqa: ASYNC109  # the time of the code, not of the call
        """Run one block; see `Sandbox.run`."""
        ...


class Sandbox(Protocol):
    """Runs Python that nobody has read."""

    async def run(self, code: str, timeout: float = 5) -> Execution:  # noqa: ASYNC109
        """Run one block in an interpreter of its own.

        Args:
            code: Python, as a model wrote it: it may be hostile, or no Python at all.
            timeout: Seconds that it may run, above 0. Starting the interpreter does not count.

        Returns:
            What it printed and what went wrong: nothing that the code does raises an exception here.

        Raises:
            SandboxError: there is no protection here, so nothing was executed.
        """
        ...

    def session(self, history: Sequence[str] = ()) -> AbstractAsyncContextManager[Session]:
        """Blocks that share their state.

        Args:
            history: Blocks that ran before, perhaps in another process: they are run again, unseen, to rebuild the
                state.
        """
        ...
