"""Every error that the package raises on purpose.

    RSDError
    ├── InvalidProblemError         the input holds no problem, or one that is not text (also a ValueError)
    ├── InvalidStateError           a value edited into a run's state is wrong (also a ValueError)
    ├── ConfigurationError          rsd.toml, a command-line option or a context is wrong (also a ValueError)
    ├── ModelError                  a model could not answer
    │   ├── ModelUnreachableError   nothing listens at the address, or the connection dropped
    │   ├── ModelTimeoutError       no answer in time
    │   ├── ModelResponseError      an HTTP error, or a response that cannot be read
    │   │   └── ModelUnavailableError   a temporary HTTP error: 429, 500, 502 to 504
    │   └── ContextOverflowError    the prompt is longer than the model's context
    ├── RewardError                 a reward is missing, NaN or outside [0, 1]
    ├── SandboxError                no sandbox protects this machine, so code was not executed
    ├── ServingError                a model server does not start, or does not stay up
    └── WeightsError                model weights cannot be found, downloaded or stored
        └── ChecksumError           model weights do not have the expected SHA-256

An error that a node raises during a run carries the steps kept so far in `steps`: an `RSDError`, and any other
exception of a user's own model too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import ValidationError

    from rsd_graph.state import Step


_LOGIN = re.compile(r"://.*@", re.DOTALL)
_QUERY = re.compile(r"(://[^?]*)\?.*", re.DOTALL)
MOST_PROBLEMS = 8
"""In one message."""
NOT_SHOWN = ("extra_forbidden", "missing", "secret")
"""Types of validation errors whose input says nothing, or must not be seen."""


class RSDError(Exception):
    """Base of all errors of this package."""

    steps: Sequence[Step] = ()
    """The steps that the run had kept when the error was raised."""


class InvalidProblemError(RSDError, ValueError):
    """The input holds no problem, or one that is not text, or a history that is not messages."""


class InvalidStateError(RSDError, ValueError):
    """A value edited into the state of a run is one that no run could have written."""


class ConfigurationError(RSDError, ValueError):
    """A configuration file, a command-line option or a context is wrong."""


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


class SandboxError(RSDError):
    """No sandbox protects this machine, so code was not executed."""


class ServingError(RSDError):
    """A model server does not start, or keeps stopping."""


class WeightsError(RSDError):
    """Model weights could not be found, downloaded or stored."""


class ChecksumError(WeightsError):
    """Model weights do not have the expected SHA-256."""


def describe(error: ValidationError) -> str:
    """A validation error as one line that names each wrong value and what is allowed; it shows no password."""
    problems = error.errors()
    lines = [
        f"{'.'.join(map(str, problem['loc'])) or 'the whole':.200}: {_said(problem['msg'])}"
        + (
            ""
            if problem["type"] in NOT_SHOWN or ", got " in problem["msg"]
            else f", got {_shown(problem['input']):.80}"
        )
        for problem in problems[:MOST_PROBLEMS]
    ]
    more = len(problems) - len(lines)
    return "; ".join([*lines, f"and {more} more"] if more else lines)


def _said(message: str) -> str:
    """Pydantic's message in the middle of a line; a validator's own text stands alone."""
    own = message.removeprefix("Value error, ")
    return f"{own[:1].lower()}{own[1:]}"


def _shown(value: object) -> str:
    """A wrong value, without the user, the password and the query of an address that it holds, however malformed."""
    return _QUERY.sub(r"\1?…", _LOGIN.sub("://…@", repr(value)))


def without_credentials(text: str) -> str:
    """The text with user and password removed from every address in it."""
    return re.sub(r"(?<=://)[^\s@]*@(?:[^\s@/]*@)*", "", text)
