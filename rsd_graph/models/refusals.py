"""What a server's refusal means: one reading of statuses, bodies and wordings, for every kind of server."""

import json
import re
from http import HTTPStatus
from typing import Any

from rsd_graph.errors import ContextOverflowError, ModelError, ModelResponseError, ModelUnavailableError

PASSING = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
"""Answers that may differ at the next attempt. Not 501, which vLLM gives for what a model cannot do."""

NEVER_OVERFLOW = {
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.TOO_MANY_REQUESTS,
}
"""Statuses that speak of something else, whatever their text: 429 may count tokens per minute."""

OVERFLOW = re.compile(
    r"""
      exceed_context_size | context_length_exceeded | context_window_exceeded | prompt_too_long
    | string_above_max_length | token \s limit \s exceeded
    | context \s shift \s is \s disabled | context \s (?:is \s)?full
    # the context is exceeded, or something exceeds it
    | context[\s_-]*(?:size|length|window|limit) .{0,40} exceed | exceed .{0,60} context(?!\s+deadline)
    | exceed .{0,40} kv[\s_-]*cache
    | (?:maximum|max(?:imal)?|available|configured) [\s_]* context [\s_]* (?:length|size|window|limit)
    | context [\s_-]* (?:size|length|window|limit) \s (?:is|of) \s (?:only \s)? \d
    # the prompt is too long
    | (?:prompt|input|inputs|message|messages|request|sequence|length)\b .{0,60}
      (?:\bis|\bare|\btoo) .{0,20} \b(?:too \s (?:long|large \s (?:for \s model|to \s process))
      |(?:longer|larger|greater) \s than \s (?:the \s)?(?:max|model|context|allowed|available))
    | (?:prompt|inputs?) \s too \s long | prompt .{0,40} tokens .{0,10} limit \s is \s \d
    | (?:prompt|input|sequence|token) [\s_]* (?:\w+ [\s_])? (?:length|count|tokens) .{0,40}
      (?:exceed|should \s not \s exceed) .{0,30} (?:max|limit|allowed)
    | (?:exceed|than|<=|>) .{0,40}
      \b(?:max_model_len|max_seq_len|max_input_len(?:gth)?|max_(?:num|total)_tokens|n_ctx)\b
    | range \s of \s input \s length | not \s fit .{0,40} context
    | maximum \s (?:model|prompt|input|sequence|allowed \s input) \s length
    | maximum \s number \s of \s (?:input \s)? tokens \s allowed | too \s many \s (?:input \s)? tokens
    | `?inputs`? \s tokens \s \+ \s `?max_new_tokens`? | `inputs` \s must \s have \s less \s than
    | inputs? .{0,20} must \s have \s less \s than \s \d+ \s tokens
    | total \s number \s of \s tokens .{0,40} (?:exceed|greater)
    | max_tokens \s must \s be \s at \s least \s 1, \s got \s (?:-|0)
    | reduce \s the \s length \s of \s the \s (?:messages|prompt|input)
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
"""How servers say that prompt and answer do not fit: vLLM, SGLang, llama.cpp, TGI, TensorRT-LLM, LM Studio, Ollama and
the gateways in front of them."""

CRASH = re.compile(
    r"out of memory|\b(?:cuda|hip|nccl) error|died|engine.{0,10}dead|segmentation|traceback|deadline|\bqueue"
    r"|rate.limit",
    re.IGNORECASE,
)
"""How a failing or busy server speaks of itself: with these words it is no overflow, whatever else it says."""

TEMPLATE = re.compile(
    r"jinja|chat.template|raise_exception|system (?:role|message)|roles? (?:must|are|is|should)|role.{0,20}supported",
    re.IGNORECASE,
)
"""How servers say that the model's chat template refuses the messages."""

LONGEST_DETAIL = 300


def refusal(status: int, body: str, where: str, retry_after: str | None = None) -> ModelError:
    """The error that an answer stands for.

    Args:
        status: The HTTP status; 200 for an error that came in the body alone.
        body: The answer's text, without secrets.
        where: The address that was asked.
        retry_after: The answer's `Retry-After`.
    """
    message, kind, code = _read(body)
    detail = " ".join(message.split())[:LONGEST_DETAIL] or "no message"
    status = code if status == HTTPStatus.OK and code is not None else status
    if overflows(status, f"{message} {kind}"):
        return ContextOverflowError(f"the prompt does not fit the context of {where}: {detail}")
    what = f"{where} answered {status}: {detail}"
    if status not in PASSING or (status == HTTPStatus.INTERNAL_SERVER_ERROR and TEMPLATE.search(message)):
        refused = ModelResponseError(what)
        refused.status = status
        return refused
    unavailable = ModelUnavailableError(what)
    unavailable.status = status
    unavailable.failing = status == HTTPStatus.INTERNAL_SERVER_ERROR
    try:
        unavailable.retry_after = None if retry_after is None else float(retry_after)
    except ValueError:  # a date, which no model server sends
        unavailable.retry_after = None
    return unavailable


def overflows(status: int, text: str) -> bool:
    """Whether the answer says that prompt and answer together are too long for the model."""
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return True
    return status not in NEVER_OVERFLOW and not CRASH.search(text) and OVERFLOW.search(text) is not None


def error_in(answer: object) -> bool:
    """Whether an answer with the status 200 is an error all the same."""
    return isinstance(answer, dict) and (bool(answer.get("error")) or answer.get("object") == "error")


def _read(body: str) -> tuple[str, str, int | None]:
    """The message of an error's body, its kind, and the status that it names."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return body, "", None
    error = answer.get("error") or answer if isinstance(answer, dict) else answer
    if not isinstance(error, dict):
        return str(error), "", None
    code = error.get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else None  # noqa: PLR2004  # HTTP's errors
    return _message(error), f"{error.get('type')} {code}", status


def _message(error: dict[str, Any]) -> str:
    for key in ("message", "detail", "error", "msg"):
        said = error.get(key)
        if isinstance(said, list):  # FastAPI's, which repeat the whole input
            return "; ".join(str(each.get("msg", each) if isinstance(each, dict) else each) for each in said)
        if said:
            return str(said)
    return json.dumps(error)
