"""The one layer of retries: which errors may pass, how long to wait, and when to give up."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from rsd_graph.errors import ModelUnavailableError, ModelUnreachableError

T = TypeVar("T")

LONGEST_WAIT = 60.0
"""Seconds; no server's `Retry-After` is taken for longer."""


@dataclass(frozen=True, slots=True)
class Persistence:
    """How long to go on asking a server that does not answer.

    A refused or dropped connection, 429 and 5xx may pass; a wrong request (any other 4xx) and a timeout, which has been
    waited for long enough, do not, and are raised at once.
    """

    attempts: int = 3
    """Attempts at a server that has not answered yet: its address may be wrong."""
    patience: float = 600
    """Seconds to wait for one that has: it is overloaded, or starts again."""

    async def ask(self, call: Callable[[], Awaitable[T]], *, has_answered: Callable[[], bool], places: int = 1) -> T:
        """Call until it works or there is no hope left.

        Args:
            call: Asks once.
            has_answered: Whether the server has answered before.
            places: How many servers successive calls go round; a wait comes after each has been asked once.

        Raises:
            What the last call raised.
        """
        backoff = wait_random_exponential(multiplier=0.2, max=5)

        async def attempt() -> T:
            return await call()

        def wait(state: RetryCallState) -> float:
            if state.attempt_number % places or "RSD_NO_WAITING" in os.environ:  # the switch is for tests
                return 0.0
            error = state.outcome.exception() if state.outcome else None
            asked = error.retry_after if isinstance(error, ModelUnavailableError) else None
            return max(backoff(state), min(asked or 0.0, LONGEST_WAIT))

        def stop(state: RetryCallState) -> bool:
            if state.attempt_number < self.attempts * places:
                return False
            return not has_answered() or (state.seconds_since_start or 0.0) >= self.patience

        retrying = AsyncRetrying(
            retry=retry_if_exception_type((ModelUnreachableError, ModelUnavailableError)),
            stop=stop,
            wait=wait,
            reraise=True,
        )
        return await retrying(attempt)
