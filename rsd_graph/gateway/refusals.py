"""Errors as OpenAI's API tells them, and what a client may know of an error of the graph.

An error of a model or of the program names addresses, files and other people's text. It goes to the log, under the id
that the client is given; the client itself gets a sentence that holds none of them.
"""

import logging
from typing import Any

from rsd_graph.errors import (
    ContextOverflowError,
    InvalidProblemError,
    ModelError,
    ModelTimeoutError,
    ModelUnavailableError,
    ModelUnreachableError,
    RewardError,
    RSDError,
)

log = logging.getLogger("rsd_graph.gateway")

RETRY_AFTER = 1
"""Seconds after which to try again, where the model server names none."""


class Refusal(Exception):  # noqa: N818  # most are the client's error, and none is the program's
    """An answer that is an error.

    Args:
        status: Of HTTP.
        message: What was wrong, and what to do; it reaches the client.
        kind: OpenAI's `type`.
        param: The field of the request that is wrong.
        code: OpenAI's `code`.
        retry_after: Seconds after which the client may try again.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self._error = {"message": message, "type": kind, "param": param, "code": code}

    @property
    def body(self) -> dict[str, Any]:
        """The error in OpenAI's shape (https://platform.openai.com/docs/guides/error-codes)."""
        return {"error": self._error}


def stopping() -> Refusal:
    """The server is shut down in the middle of a run."""
    return Refusal(503, "the gateway is shutting down", kind="server_error", code="shutting_down", retry_after=5)


def too_slow(seconds: float) -> Refusal:
    """The run takes longer than a request may."""
    message = f"the answer was not complete within {seconds:g} seconds; lower `max_tokens`"
    return Refusal(504, message, kind="server_error", code="timeout")


def refusal_of(error: Exception, request_id: str) -> Refusal:
    """What the client is told of an error of its run. The rest goes to the log."""
    match error:
        case Refusal():
            return error
        case InvalidProblemError():
            return Refusal(400, str(error), param="messages")
        case ContextOverflowError():
            message = "the conversation is longer than a model's context"
            return Refusal(400, message, param="messages", code="context_length_exceeded")
    return _servers_fault(error, request_id)


def _servers_fault(error: Exception, request_id: str) -> Refusal:
    if isinstance(error, RSDError):
        log.error("%s: %s: %s", request_id, type(error).__name__, error)
    else:
        log.error("%s: the run failed", request_id, exc_info=error)
    status, message = _told(error)
    retry_after = getattr(error, "retry_after", None) or RETRY_AFTER if status == 503 else None  # noqa: PLR2004
    message = f"{message}; the gateway's log has the cause, under {request_id}"
    return Refusal(status, message, kind="server_error", code="model_error", retry_after=retry_after)


def _told(error: Exception) -> tuple[int, str]:
    match error:
        case ModelTimeoutError():
            return 504, "a model did not answer in time"
        case ModelUnavailableError():
            return 503, "a model server cannot answer now"
        case ModelUnreachableError():
            return 502, "a model server cannot be reached"
        case ModelError():
            return 502, "a model server failed"
        case RewardError():
            return 502, "the reward model failed"
    return 500, "the run failed"
