"""Log-probabilities as servers report them: a number that cannot be one must never become a reward."""

import math
from numbers import Real

from rsd_graph.errors import RSDError

TOLERANCE = 1e-5
"""A log-probability this far above 0 is rounding, and counts as 0."""


def checked_logprob(value: object, name: str, error: type[RSDError]) -> float:
    """The log-probability as a float of at most 0.

    Args:
        value: As the backend reports it.
        name: The model's name.
        error: What to raise.

    Raises:
        error: it is missing, NaN, infinite or positive; the message names model and value.
    """
    number = float(value) if isinstance(value, Real) else math.nan
    if not math.isfinite(number) or number > TOLERANCE:
        raise error(f"{name} gave the log-probability {value!r}, expected a finite number of at most 0")
    return min(0.0, number)
