"""What a model or reward can know of the run that calls it, and what it may leave running for that run.

`StepGenerator` and `RewardModel` get what they need for one answer. A wrapper that works ahead of the run
(`rsd_graph.latency`) needs more: the settings of the run, its exact steps, and a place for work that outlives one call
and must not outlive the run.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

from rsd_graph.settings import RSDSettings
from rsd_graph.state import Step, Usage

NOTHING = Usage()


class Early(Protocol):
    """Something that was started before the run needs it."""

    def abandon(self) -> Usage:
        """End it, from any thread. Returns what it has cost."""
        ...


class RunScope:
    """One call of the graph: what was started early for it, and what was spent on work that nobody took."""

    def __init__(self) -> None:
        self._early: dict[object, Early] = {}
        self._spent = NOTHING
        self._closed = False
        self.shown: dict[int, str] = {}
        """What was shown of a step while it was written, by its number: a node that is called again knows it."""

    def leave(self, place: object, early: Early) -> None:
        """Leave it running until it is taken, at most until the run ends. It takes the place of an earlier one."""
        self.drop(place)
        self._early[place] = early
        if self._closed:  # another thread has ended the run
            self.drop(place)

    def take(self, place: object) -> Early | None:
        """What was left at this place; the caller now decides what becomes of it."""
        return self._early.pop(place, None)

    def drop(self, place: object) -> None:
        """Abandon what was left at this place, and count its cost."""
        early = self.take(place)
        if early is not None:
            self.spend(early.abandon())

    def spend(self, usage: Usage) -> None:
        """Count tokens that belong to no step."""
        self._spent += usage

    def spent(self) -> Usage:
        """What was spent since this was last asked."""
        spent, self._spent = self._spent, NOTHING
        return spent

    def end(self) -> None:
        """Abandon everything: the run has ended."""
        for place in list(self._early):
            self.drop(place)

    def close(self) -> None:
        """Abandon everything, for good: the call has ended, in whichever way."""
        self._closed = True
        self.end()


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a run is when one of its nodes calls a model or reward."""

    steps: Sequence[Step]
    """All steps kept so far, blank ones too."""
    settings: RSDSettings
    """Of the run."""
    scope: RunScope


_moment: ContextVar[Moment | None] = ContextVar("moment", default=None)


def moment() -> Moment | None:
    """Where the run is that makes this call; None outside the graph."""
    return _moment.get()


@contextmanager
def at(now: Moment | None) -> Iterator[None]:
    """Let the models that are called in this block know where the run is; None: they are to do nothing ahead of it."""
    token = _moment.set(now)
    try:
        yield
    finally:
        _moment.reset(token)
