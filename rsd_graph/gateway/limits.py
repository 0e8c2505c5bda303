"""What one client may take from the others: size, number, time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rsd_graph.gateway.refusals import Refusal

RETRY_AFTER = 1
"""Seconds after which a client that found the gateway full may try again."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one gateway process.

    Raises:
        ValueError: a limit is not above 0.
    """

    runs: int = 256
    """Requests at once; one more gets the status 429."""
    body: int = 4_000_000
    """Bytes of a request; a longer one gets the status 413."""
    seconds: float = 600
    """Seconds that one request may take; then it gets the status 504, or an error in its stream."""
    upload_seconds: float = 30
    """Seconds that a client may take to send its request; then it gets the status 408."""
    stalled_seconds: float = 30
    """Seconds that a client may leave unread what it is sent; then its run is cancelled."""
    ping_seconds: float = 5
    """Seconds of silence after which a stream gets a comment, so that proxies keep the connection open."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise ValueError(f"the limit `{name}` must be above 0, got {getattr(self, name)!r}")


class Gate:
    """Counts the requests at once, and refuses those beyond a number.

    Args:
        most: That number.
    """

    def __init__(self, most: int) -> None:
        self.inside = 0
        self._most = most

    @contextmanager
    def enter(self) -> Iterator[Callable[[], None]]:
        """Be one of them for the length of this block, or until what it gives is called.

        A client may send its next request as soon as it has an answer, so the place is given up before the answer ends.

        Raises:
            Refusal: there are too many.
        """
        if self.inside >= self._most:
            raise Refusal(
                429,
                f"{self._most} requests are in progress, as many as this gateway takes at once: try again later",
                kind="rate_limit_error",
                code="rate_limit_exceeded",
                retry_after=RETRY_AFTER,
            )
        self.inside += 1
        held = True

        def leave() -> None:
            nonlocal held
            self.inside -= held
            held = False

        try:
            yield leave
        finally:
            leave()
