"""Every error that the package raises on purpose.

    RSDError
    ├── InvalidProblemError         the problem is empty or no text (also a ValueError)
    ├── ConfigurationError          rsd.toml or a command-line option (also a ValueError)
    ├── ModelError                  a model could not do its work
    │   ├── ModelUnreachableError   nothing answers, or the connection dropped
    │   ├── ModelTimeoutError       no answer in time
    │   ├── ModelResponseError      an HTTP error, or a response that makes no sense
    │   │   └── ModelUnavailableError   ... that may be gone at the next attempt: 429, 500, 502 to 504
    │   └── ContextOverflowError    the prompt is longer than the model's context
    ├── RewardError                 a reward is missing, NaN or outside [0, 1]
    ├── ServingError                a model server does not start, or does not stay up
    └── WeightsError                model weights cannot be had
        └── ChecksumError           ... or are not what they should be

A `RSDError` that a node raises in the middle of a run carries the steps kept so far in `steps`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import ValidationError

    from rsd_graph.state import Step


class RSDError(Exception):
    """Base of all errors of this package."""

    steps: Sequence[Step] = ()
    """The steps that the run had kept when the error struck."""


class InvalidProblemError(RSDError, ValueError):
    """The problem is empty, or is not text."""


class ConfigurationError(RSDError, ValueError):
    """A configuration file or a command-line option is wrong."""


class ModelError(RSDError):
    """A model could not do its work."""


class ModelUnreachableError(ModelError):
    """Nothing answers at the server's address, or the connection dropped."""


class ModelTimeoutError(ModelError):
    """The server did not answer in time."""


class ModelResponseError(ModelError):
    """The server answered with an HTTP error or with something that makes no sense."""


class ModelUnavailableError(ModelResponseError):
    """The server cannot answer now: it is overloaded, starting, or failing (429, 500, 502 to 504)."""

    failing: bool = False
    """Whether it has failed at this request (500), rather than put it off."""
    retry_after: float | None = None
    """Seconds after which the server wants to be asked again, where it says so."""


class ContextOverflowError(ModelError):
    """The conversation and the response so far are longer than the model's context."""


class RewardError(RSDError):
    """A reward model gave no reward, NaN, or a number outside [0, 1]."""


class ServingError(RSDError):
    """A model server does not start, or ends again and again."""


class WeightsError(RSDError):
    """Model weights could not be found, downloaded or stored."""


class ChecksumError(WeightsError):
    """Model weights do not have the expected SHA-256."""


def describe(error: ValidationError) -> str:
    """A validation error in one line that names each wrong value and says what is allowed."""
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'the whole'}: {problem['msg'][:1].lower()}{problem['msg'][1:]}"
        + ("" if problem["type"] in ("extra_forbidden", "missing") else f", got {problem['input']!r:.80}")
        for problem in error.errors()
    )
