import asyncio
import time
from collections.abc import Sequence

import pytest

from rsd_graph.errors import (
    ModelResponseError,
    ModelTimeoutError,
    ModelUnavailableError,
    ModelUnreachableError,
    RSDError,
)
from rsd_graph.models import retries
from rsd_graph.models.retries import LONGEST_WAIT, Retrier, RetryPolicy, _least_wait

GONE = ModelUnreachableError("gone")


def failing() -> ModelUnavailableError:
    error = ModelUnavailableError("500")
    error.failing = True
    return error


def dropped() -> ModelUnreachableError:
    error = ModelUnreachableError("dropped.")
    error.dropped = True
    return error


def lasting() -> ModelUnreachableError:
    error = ModelUnreachableError("no TLS")
    error.lasting = True
    return error


def busy(retry_after: float) -> ModelUnavailableError:
    error = ModelUnavailableError("429")
    error.retry_after = retry_after
    return error


def ask(
    errors: Sequence[RSDError],
    *,
    has_answered: bool = False,
    servers: int = 1,
    attempts: int = 3,
    patience: float = 600,
) -> int:
    """Number of calls until one succeeds, after all the errors."""
    calls = 0

    async def call() -> int:
        nonlocal calls
        calls += 1
        if calls <= len(errors):
            raise errors[calls - 1]
        return calls

    async def nothing() -> None: ...

    async def run() -> int:
        asking = Retrier(RetryPolicy(attempts, patience))
        if has_answered:
            await asking.ask(nothing)
        return await asking.ask(call, servers=servers)

    return asyncio.run(run())


@pytest.mark.parametrize("error", [GONE, ModelUnavailableError("busy"), failing()])
def test_what_may_pass_is_asked_again(error: RSDError) -> None:
    """Three times, at a server that has not answered yet."""
    assert ask([error, error]) == 3
    with pytest.raises(type(error)):
        ask([error, error, error])


@pytest.mark.parametrize("error", [ModelResponseError("400"), ModelTimeoutError("slow")])
def test_what_would_not_pass_is_raised_at_once(error: RSDError) -> None:
    """A wrong request stays wrong, and a timeout has taken long enough."""
    with pytest.raises(type(error)):
        ask([error], has_answered=True)


def test_a_server_that_has_answered_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It restarts, and the run continues; but only within the policy's patience."""
    monkeypatch.setattr(retries, "WAITING", True)
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.001)
    assert ask([GONE] * 4, has_answered=True) == 5
    with pytest.raises(ModelUnreachableError):
        ask([GONE] * 50, has_answered=True, patience=0.1)


def test_a_request_that_fails_on_the_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It might fail every time, however long the server stays up."""
    monkeypatch.setattr(retries, "FAILING_WAIT", 0.0)
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(retries, "WAITING", True)
    with pytest.raises(ModelUnavailableError):
        ask([failing()] * 4, has_answered=True)
    assert ask([GONE, GONE, GONE, failing(), failing()], has_answered=True) == 6  # each is counted by itself


def test_a_server_may_say_when_to_come_back() -> None:
    """Its Retry-After is the shortest wait, up to a limit."""
    assert _least_wait(ModelUnavailableError("429")) == 0
    assert _least_wait(busy(7.0)) == 7
    assert _least_wait(busy(3600.0)) == LONGEST_WAIT
    assert _least_wait(failing()) == retries.FAILING_WAIT
    assert _least_wait(GONE) == 0


def test_the_wait_is_real(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next attempt comes after what the server asked for."""
    monkeypatch.setattr(retries, "WAITING", True)
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.0)
    began = time.monotonic()
    assert ask([busy(0.05)]) == 2
    assert time.monotonic() - began >= 0.05


def test_it_waits_once_all_places_were_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another server may answer at once."""
    monkeypatch.setattr(retries, "WAITING", True)
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.0)
    began = time.monotonic()
    assert ask([busy(60.0), busy(60.0)], servers=3) == 3
    assert time.monotonic() - began < 30
    assert ask([GONE, GONE, busy(0.05)], servers=3) == 4
    assert time.monotonic() - began >= 0.05


def test_no_wait_is_longer_than_the_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the server asks for: the test would take a minute otherwise."""
    monkeypatch.setattr(retries, "WAITING", True)
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.0)
    began = time.monotonic()
    with pytest.raises(ModelUnavailableError):
        ask([busy(60.0)] * 9, has_answered=True, patience=0.1)
    assert time.monotonic() - began < 30


def test_a_server_that_never_answered_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its address may be wrong: the attempts count, not the patience."""
    monkeypatch.setattr(retries, "WAITING", True)
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.001)
    with pytest.raises(ModelUnreachableError):
        ask([GONE] * 3)


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_the_policy_says_how_many_attempts(attempts: int) -> None:
    """One attempt is no retry."""
    assert ask([GONE] * (attempts - 1), attempts=attempts) == attempts
    with pytest.raises(ModelUnreachableError):
        ask([GONE] * attempts, attempts=attempts)


def test_a_long_wait_is_logged_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """With the error, and how long it may take."""
    monkeypatch.setattr(retries, "WAITING", True)
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.001)
    ask([GONE] * 6, has_answered=True, patience=50)
    assert [record.getMessage() for record in caplog.records] == ["gone; asking again for at most 50 s"]


def test_the_last_error_is_raised() -> None:
    """It says what is the matter now."""
    with pytest.raises(ModelResponseError, match="404"):
        ask([GONE, ModelResponseError("404")])


def test_several_places_are_asked_in_turn() -> None:
    """Each is asked as often as one alone would be."""
    assert ask([GONE] * 5, servers=2) == 6
    with pytest.raises(ModelUnreachableError):
        ask([GONE] * 6, servers=2)


def test_a_request_that_is_dropped_again_and_again_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be what stops the server: three times at most, however many servers there are and refusals between."""
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(retries, "WAITING", True)
    for servers in (1, 4):
        with pytest.raises(ModelUnreachableError, match=r"dropped\. It did so 3 times with this request"):
            ask([dropped(), GONE, GONE, dropped(), GONE, dropped()], has_answered=True, servers=servers)
    assert ask([dropped(), GONE, GONE, GONE, dropped()], has_answered=True) == 6


def test_a_request_that_stops_the_server_in_two_ways_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """VLLM answers 500 as its engine dies, and then drops what comes."""
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(retries, "FAILING_WAIT", 0.0)
    monkeypatch.setattr(retries, "WAITING", True)
    assert ask([failing(), dropped(), GONE], has_answered=True) == 4
    with pytest.raises(ModelUnavailableError):
        ask([failing(), dropped(), GONE, failing()], has_answered=True)


def test_a_wrong_scheme_is_not_asked_again() -> None:
    """It would be as wrong the next time."""
    with pytest.raises(ModelUnreachableError, match=r"^no TLS$"):
        ask([lasting()], has_answered=True)
