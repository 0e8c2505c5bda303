"""How confident the draft is of a step, and the bounds that are set for it."""

from collections.abc import Sequence
from math import isfinite

from langchain_core.messages import BaseMessage

from rsd_graph.errors import ConfigurationError
from rsd_graph.protocols import RewardModel
from rsd_graph.state import Generation, Step


def checked_bound(bound: float, what: str) -> float:
    """The bound, if it is one.

    Raises:
        ConfigurationError: it is not a number in [0, 1].
    """
    if not isfinite(bound) or not 0 <= bound <= 1:
        raise ConfigurationError(f"{what}: a bound of the draft's confidence is a number in [0, 1], got {bound!r}")
    return bound


async def confidence_in(
    confidence: RewardModel, messages: Sequence[BaseMessage], steps: Sequence[Step], candidate: Generation
) -> float:
    """The confidence in [0, 1] in one candidate."""
    (score,) = await confidence.score(messages, steps, [candidate])
    return score.reward
