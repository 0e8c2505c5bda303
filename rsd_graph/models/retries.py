"""The one layer of retries: which errors may pass, how long to wait, and when to give up."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from rsd_graph.errors import ModelUnavailableError, ModelUnreachableError

logger = logging.getLogger(__name__)

T = TypeVar("T")

WAITING = True
"""A switch for tests: without, attempts follow one another at once, and nobody is waited for."""

LONGEST_WAIT = 60.0
"""Seconds; no server's `Retry-After` is taken for longer."""
FAILING_WAIT = 1.0
"""Seconds; vLLM answers 500 for a moment when its engine has died, and is gone then."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to go on asking a server that does not answer.

    A refused or dropped connection, 429 and a failing server (500, 502 to 504) may pass; a wrong request and a timeout,
    which has been waited for long enough, do not, and are raised at once.
    """

    attempts: int = 3
    """Attempts at a server that has not answered yet, for its address may be wrong, or that fails at the request."""
    patience: float = 600
    """Seconds to wait for one that has answered: it is overloaded, or starts again."""


class Retrier:
    """Asks one server, or the servers of one model, and knows whether it has answered before."""

    def __init__(self, retry: RetryPolicy | None = None) -> None:
        self._policy = retry or RetryPolicy()
        self._has_answered = False

    async def ask(self, call: Callable[[], Awaitable[T]], *, places: int = 1) -> T:
        """Call until it works or there is no hope left.

        Args:
            call: Asks once.
            places: How many servers successive calls go round; a wait comes after each has been asked once.

        Raises:
            What the last call raised.
        """
        backoff = wait_random_exponential(multiplier=0.2, max=5)
        failures = 0
        attempts = self._policy.attempts * places

        async def attempt() -> T:
            answer = await call()
            self._has_answered = True
            return answer

        def wait(state: RetryCallState) -> float:
            if state.attempt_number % places or not WAITING:
                return 0.0
            return max(backoff(state), _least_wait(_error(state)))

        def stop(state: RetryCallState) -> bool:
            nonlocal failures
            error = _error(state)
            failures += isinstance(error, ModelUnavailableError) and error.failing
            if failures >= attempts:
                return True
            impatient = not WAITING or (state.seconds_since_start or 0.0) >= self._policy.patience
            return state.attempt_number >= attempts and (impatient or not self._has_answered)

        def tell(state: RetryCallState) -> None:
            if state.attempt_number == attempts:
                logger.warning("%s; asking again, for %.0f s at most", _error(state), self._policy.patience)

        retrying = AsyncRetrying(
            retry=retry_if_exception_type((ModelUnreachableError, ModelUnavailableError)),
            stop=stop,
            wait=wait,
            before_sleep=tell,
            reraise=True,
        )
        return await retrying(attempt)


def _least_wait(error: BaseException | None) -> float:
    if not isinstance(error, ModelUnavailableError):
        return 0.0
    return FAILING_WAIT if error.failing else min(error.retry_after or 0.0, LONGEST_WAIT)


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
