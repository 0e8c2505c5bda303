import asyncio
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


def ask(errors: Sequence[RSDError], *, has_answered: bool = False, places: int = 1, patience: float = 600) -> int:
    """Number of calls that it took, through all the errors."""
    calls = 0

    async def call() -> int:
        nonlocal calls
        calls += 1
        if calls <= len(errors):
            raise errors[calls - 1]
        return calls

    async def nothing() -> None: ...

    async def run() -> int:
        asking = Retrier(RetryPolicy(patience=patience))
        if has_answered:
            await asking.ask(nothing)
        return await asking.ask(call, places=places)

    return asyncio.run(run())


@pytest.mark.parametrize("error", [GONE, ModelUnavailableError("busy"), failing()])
def test_what_may_pass_is_asked_again(error: RSDError) -> None:
    """Three times, at a server that has not answered yet."""
    assert ask([error, error]) == 3
    with pytest.raises(type(error)):
        ask([error, error, error])


@pytest.mark.parametrize("error", [ModelResponseError("400"), ModelTimeoutError("slow")])
def test_what_would_not_pass_is_raised_at_once(error: RSDError) -> None:
    """A wrong request stays wrong, and a timeout was waited for."""
    with pytest.raises(type(error)):
        ask([error], has_answered=True)


def test_a_server_that_has_answered_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts again, and the run goes on; but not for ever."""
    monkeypatch.setattr(retries, "WAITING", True)
    assert ask([GONE] * 4, has_answered=True) == 5
    with pytest.raises(ModelUnreachableError):
        ask([GONE] * 50, has_answered=True, patience=0.1)


def test_a_request_that_fails_on_the_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It might fail for ever, however long the server lives."""
    monkeypatch.setattr("rsd_graph.models.retries.FAILING_WAIT", 0.0)
    monkeypatch.setattr(retries, "WAITING", True)
    with pytest.raises(ModelUnavailableError):
        ask([failing()] * 4, has_answered=True)
    assert ask([GONE, GONE, GONE, failing(), failing()], has_answered=True) == 6  # each is counted by itself


def test_a_server_may_say_when_to_come_back() -> None:
    """Its Retry-After is the least that is waited, if it does not ask too much."""
    busy = ModelUnavailableError("429")
    assert _least_wait(busy) == 0
    busy.retry_after = 7.0
    assert _least_wait(busy) == 7
    busy.retry_after = 3600.0
    assert _least_wait(busy) == LONGEST_WAIT


def test_several_places_are_gone_round() -> None:
    """Each is asked as often as one alone would be."""
    assert ask([GONE] * 5, places=2) == 6
    with pytest.raises(ModelUnreachableError):
        ask([GONE] * 6, places=2)
