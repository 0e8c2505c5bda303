"""Every error that the package raises on purpose.

    RSDError
    ├── InvalidProblemError         the problem is empty or is not text (also a ValueError)
    ├── ConfigurationError          rsd.toml or a command-line option is wrong (also a ValueError)
    ├── ModelError                  a model could not answer
    │   ├── ModelUnreachableError   nothing listens at the address, or the connection dropped
    │   ├── ModelTimeoutError       no answer in time
    │   ├── ModelResponseError      an HTTP error, or a response that cannot be read
    │   │   └── ModelUnavailableError   a temporary HTTP error: 429, 500, 502 to 504
    │   └── ContextOverflowError    the prompt is longer than the model's context
    ├── RewardError                 a reward is missing, NaN or outside [0, 1]
    ├── ServingError                a model server does not start, or does not stay up
    └── WeightsError                model weights cannot be found, downloaded or stored
        └── ChecksumError           model weights do not have the expected SHA-256

An `RSDError` that a node raises during a run carries the steps kept so far in `steps`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import ValidationError

    from rsd_graph.state import Step


class RSDError(Exception):
    """Base of all errors of this package."""

    steps: Sequence[Step] = ()
    """The steps that the run had kept when the error was raised."""


class InvalidProblemError(RSDError, ValueError):
    """The problem is empty, or is not text."""


class ConfigurationError(RSDError, ValueError):
    """A configuration file or a command-line option is wrong."""


class ModelError(RSDError):
    """A model could not answer."""


class ModelUnreachableError(ModelError):
    """Nothing listens at the server's address, or the connection dropped."""

    dropped: bool = False
    """Whether the server had the request when the connection dropped: the request may be what stopped it."""
    lasting: bool = False
    """Whether asking again cannot help: the server does not speak the protocol of its address."""


class ModelTimeoutError(ModelError):
    """The server did not answer in time."""


class ModelResponseError(ModelError):
    """The server answered with an HTTP error, or with a response that cannot be read."""

    status: int | None = None
    """The HTTP error's status; None for a response that cannot be read."""


class ModelUnavailableError(ModelResponseError):
    """The server cannot answer now: it is overloaded, starting, or failing (429, 500, 502 to 504)."""

    failing: bool = False
    """Whether the server failed on this very request (500), rather than asked to be called later."""
    retry_after: float | None = None
    """Seconds that the server asks to wait before the next attempt; None if it names none."""


class ContextOverflowError(ModelError):
    """The conversation and the response so far are longer than the model's context."""


class RewardError(RSDError):
    """A reward model gave no reward, NaN, or a number outside [0, 1]."""


class ServingError(RSDError):
    """A model server does not start, or keeps stopping."""


class WeightsError(RSDError):
    """Model weights could not be found, downloaded or stored."""


class ChecksumError(WeightsError):
    """Model weights do not have the expected SHA-256."""


def describe(error: ValidationError) -> str:
    """A validation error as one line that names each wrong value and what is allowed."""
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'the whole'}: {problem['msg'][:1].lower()}{problem['msg'][1:]}"
        + ("" if problem["type"] in ("extra_forbidden", "missing") else f", got {_shown(problem['input'])}")
        for problem in error.errors()
    )


def _shown(value: object) -> str:
    return without_credentials(f"{value!r:.500}")[:80]


def without_credentials(text: str) -> str:
    """The text with user and password removed from every address in it."""
    return re.sub(r"(?<=://)[^\s@]*@(?:[^\s@/]*@)*", "", text)
