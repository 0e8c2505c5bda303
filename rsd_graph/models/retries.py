"""The one layer of retries: which errors are transient, how long to wait, and when to give up."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from rsd_graph.errors import ModelUnavailableError, ModelUnreachableError, RSDError

logger = logging.getLogger(__name__)

T = TypeVar("T")

WAITING = True
"""A switch for tests: if False, attempts follow one another at once, and no server is waited for."""

FIRST_WAIT = 0.2
"""Seconds that the first wait lasts at most; this limit doubles with each further wait, up to 5."""

LONGEST_WAIT = 60.0
"""Seconds; a longer `Retry-After` of a server is cut to this."""
FAILING_WAIT = 1.0
"""Seconds; vLLM whose engine has died answers 500 for a moment before it exits."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to keep asking a server that does not answer.

    A refused or dropped connection, 429, and a failing server (500, 502 to 504) are transient and asked again. A wrong
    request is raised at once, and so is a timeout, which has already taken long enough.
    """

    attempts: int = 3
    """Attempts at a server that has never answered (its address may be wrong), or that fails at this request: it
    answers 500, or drops the connection once it has the request, which may be what stops it."""
    patience: float = 600
    """Seconds to wait for a server that has answered before: it is overloaded, or restarting."""


NO_RETRY = RetryPolicy(attempts=1, patience=0)
"""For one server of several: `models.replicas` decides about retries, in one layer."""


class Retrier:
    """Asks one server, or the servers of one model, and remembers whether it has ever answered."""

    def __init__(self, retry: RetryPolicy | None = None) -> None:
        self._policy = retry or RetryPolicy()
        self._has_answered = False

    async def ask(self, call: Callable[[], Awaitable[T]], *, servers: int = 1) -> T:
        """Call until it works, or until the policy says to give up.

        Args:
            call: Asks once.
            servers: Number of servers that successive calls take in turn; it waits after each has been asked once.

        Raises:
            What the last call raised.
        """
        try:  # tenacity's machinery takes as long as the request
            answer = await call()
        except RSDError as error:
            if not _may_pass(error):
                raise
            return await self._ask_again(call, error, servers)
        self._has_answered = True
        return answer

    async def _ask_again(self, call: Callable[[], Awaitable[T]], first: RSDError, servers: int) -> T:
        """As `ask`, where the first attempt has failed."""
        failed: list[RSDError] = [first]
        backoff = wait_random_exponential(multiplier=FIRST_WAIT, max=5)
        failures = drops = 0
        attempts = self._policy.attempts * servers

        async def attempt() -> T:
            if failed:
                raise failed.pop()
            answer = await call()
            self._has_answered = True
            return answer

        def wait(state: RetryCallState) -> float:
            first_drop = drops == 1 and state.attempt_number == 1  # it was idle, and the server closed it just now
            if state.attempt_number % servers or first_drop or not WAITING:
                return 0.0
            left = self._policy.patience - (state.seconds_since_start or 0.0)
            return min(max(backoff(state), _least_wait(_error(state))), max(left, 0.0))

        def stop(state: RetryCallState) -> bool:
            nonlocal failures, drops
            error = _error(state)
            failures += isinstance(error, ModelUnavailableError) and error.failing
            drops += isinstance(error, ModelUnreachableError) and error.dropped
            # a request that stops one server would stop them all: `servers` does not count
            if failures + drops >= attempts or drops >= self._policy.attempts:
                return True
            impatient = not WAITING or (state.seconds_since_start or 0.0) >= self._policy.patience
            return state.attempt_number >= attempts and (impatient or not self._has_answered)

        def tell(state: RetryCallState) -> None:
            if state.attempt_number == attempts:
                logger.warning("%s; asking again for at most %.0f s", _error(state), self._policy.patience)

        retrying = AsyncRetrying(
            retry=retry_if_exception(_may_pass),
            stop=stop,
            wait=wait,
            before_sleep=tell,
            reraise=True,
        )
        try:
            return await retrying(attempt)
        except ModelUnreachableError as error:
            if drops < max(2, self._policy.attempts):
                raise
            raise ModelUnreachableError(
                f"{error} It did so {drops} times with this request, which is given up."
            ) from error


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, ModelUnreachableError):
        return not error.lasting
    return isinstance(error, ModelUnavailableError)


def _least_wait(error: BaseException | None) -> float:
    if not isinstance(error, ModelUnavailableError):
        return 0.0
    return FAILING_WAIT if error.failing else min(error.retry_after or 0.0, LONGEST_WAIT)


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
