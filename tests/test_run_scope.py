from rsd_graph import RSDSettings, TokenUsage, Usage
from rsd_graph.run_scope import Moment, RunScope, at, moment


class Left:
    """Counts how often it is abandoned."""

    def __init__(self, tokens: int = 0) -> None:
        self.tokens = tokens
        self.abandoned = 0

    def abandon(self) -> Usage:
        self.abandoned += 1
        return Usage(draft=TokenUsage(completion=self.tokens), discarded=self.tokens)


def test_what_is_left_can_be_taken_once() -> None:
    """Whoever takes it decides what becomes of it: the scope forgets it."""
    scope, left = RunScope(), Left()
    scope.leave("place", left)
    assert scope.take("place") is left
    assert scope.take("place") is None
    scope.close()
    assert left.abandoned == 0


def test_a_place_holds_one() -> None:
    """What comes later abandons what was there: a run's scope does not grow."""
    scope, first, second, other = RunScope(), Left(3), Left(), Left()
    scope.leave("place", first)
    scope.leave("other", other)
    scope.leave("place", second)
    assert (first.abandoned, second.abandoned, other.abandoned) == (1, 0, 0)
    assert scope.spent() == Usage(draft=TokenUsage(completion=3), discarded=3)


def test_what_was_spent_is_told_once() -> None:
    """So that a node adds it to the run's usage once."""
    scope = RunScope()
    scope.spend(Usage(discarded=2))
    scope.spend(Usage(discarded=3))
    assert scope.spent() == Usage(discarded=5)
    assert scope.spent() == Usage()


def test_the_end_abandons_everything() -> None:
    """Also what is left afterwards, by a node that another thread had not stopped yet."""
    scope, before, after = RunScope(), Left(), Left()
    scope.leave("place", before)
    scope.close()
    scope.leave("place", after)
    assert (before.abandoned, after.abandoned) == (1, 1)
    assert scope.take("place") is None


def test_the_moment_is_known_inside_the_block_only() -> None:
    """A model that is called outside the graph knows of no run."""
    now = Moment((), RSDSettings(), RunScope())
    assert moment() is None
    with at(now):
        assert moment() is now
    assert moment() is None
