"""The threshold that keeps a budget: a share of steps that the target may write.

Under such a budget the best rule is a threshold, the quantile of the rewards (arXiv 2501.19324, proposition 2.3). Which
quantile that is, nobody knows before the run. So the threshold follows the steps: it falls when the target has written
one, and rises while the draft's are kept, each time by the distance from the budget (as in adaptive conformal
inference, arXiv 2106.00170). Whatever the rewards are, after n steps the share then differs from the budget by no more
than (1 + GAIN) / (GAIN n), and on average by much less; how soon it is close depends on the first threshold.

The threshold in force depends on the kept steps alone: a run that is resumed, forked or replayed decides as the first
did.
"""

from collections.abc import Iterable, Sequence

from rsd_graph.settings import RSDSettings
from rsd_graph.state import Step

GAIN = 0.2
"""How far one step moves the threshold. More keeps the budget in shorter runs, and chooses the steps less well."""


def in_force(settings: RSDSettings, steps: Sequence[Step]) -> RSDSettings:
    """The settings for the step that follows these: with the threshold that the budget makes of the run's own.

    It may leave [0, 1] a little: above, the target writes whatever the reward is, and below, nothing.
    """
    if settings.budget is None:
        return settings
    moved = shift(settings.budget, (step.author for step in steps))
    return settings.model_copy(update={"threshold": settings.threshold + moved})


def shift(budget: float, authors: Iterable[str]) -> float:
    """How far the budget has moved the threshold after steps by these authors; the output of code is no step."""
    return GAIN * sum(budget - (author == "target") for author in authors if author != "tool")
