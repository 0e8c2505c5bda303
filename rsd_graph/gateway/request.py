"""What a client asks for: the body of `/v1/chat/completions`, checked, in the graph's own terms.

Whatever would change the answer is honoured or refused by its name. Fields that this file does not name are ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StringConstraints, ValidationError
from pydantic_core import from_json

from rsd_graph.errors import describe
from rsd_graph.gateway.refusals import Refusal
from rsd_graph.settings import RSDSettings

M = TypeVar("M", bound=BaseModel)

SEEDS = 2**31
"""The graph's seeds are below this; a larger or negative one is taken modulo this."""

NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "tools": (None, []),
    "functions": (None, []),
    "tool_choice": (None, "none", "auto"),
    "function_call": (None, "none", "auto"),
    "response_format": (None, {"type": "text"}),
    "modalities": (None, ["text"]),
    "audio": (None,),
    "prediction": (None,),
    "web_search_options": (None,),
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "logit_bias": (None, {}),
    "frequency_penalty": (None, 0),
    "presence_penalty": (None, 0),
    "n": (None, 1),
}
"""Fields that would change the answer and are not supported, each with the values that ask for nothing."""

StopText = Annotated[str, StringConstraints(min_length=1, max_length=500)]


def _text(content: object) -> object:
    """A message's text; parts are joined by a line break, as vLLM does."""
    if not isinstance(content, list):
        return content
    for part in content:
        if not (isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)):
            kind = part.get("type") if isinstance(part, Mapping) else part
            raise ValueError(f"only parts of the type 'text' are supported, got {kind!r:.80}")
    return "\n".join(part["text"] for part in content)


class Message(BaseModel):
    """A message of the conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, BeforeValidator(_text)]

    @property
    def langchain(self) -> BaseMessage:
        """The message as LangChain has it."""
        kinds: dict[str, type[BaseMessage]] = {"user": HumanMessage, "assistant": AIMessage}
        return kinds.get(self.role, SystemMessage)(content=self.content)


class StreamOptions(BaseModel):
    """OpenAI's `stream_options`."""

    include_usage: StrictBool | None = None


class Body(BaseModel):
    """The fields that are read."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    messages: list[Message] = Field(min_length=1)
    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: StopText | Annotated[list[StopText], Field(max_length=16)] | None = None
    rsd: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that can be run."""

    messages: list[BaseMessage]
    """The last of them is the user's, and is the problem."""
    settings: RSDSettings
    """Only the fields that the request names are set."""
    stop: tuple[str, ...]
    """The response ends before the first of these texts."""
    stream: bool
    include_usage: bool
    """Whether the stream ends with the tokens that it took."""
    details: bool
    """Whether the answer tells about its steps, in a field `rsd`."""


def read_request(content: bytes, name: str) -> Asked:
    """The request that the body asks for.

    Args:
        content: The body, JSON.
        name: Of the model that is served.

    Raises:
        Refusal: the body is not JSON, a value is wrong, or something is asked for that the graph cannot do.
    """
    given = _json_object(content)
    _refuse_unsupported(given)
    body = _validated(Body, given)
    if body.model is not None and body.model != name:
        message = f"the model {body.model!r:.80} does not exist: this gateway serves {name!r}"
        raise Refusal(404, message, param="model", code="model_not_found")
    if body.messages[-1].role != "user":
        raise Refusal(400, "`messages` must end with a message of the user, which is the problem", param="messages")
    options = dict(body.rsd or {})
    details = options.pop("details", False)
    if not isinstance(details, bool):
        raise Refusal(400, f"`rsd.details` must be true or false, got {details!r:.80}", param="rsd.details")
    return Asked(
        [message.langchain for message in body.messages],
        _settings(body, options),
        (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ()),
        bool(body.stream),
        bool(body.stream_options and body.stream_options.include_usage),
        details,
    )


def _json_object(content: bytes) -> dict[str, Any]:
    try:
        given = from_json(content, allow_inf_nan=False)
    except ValueError as error:
        raise Refusal(400, f"the body is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise Refusal(400, "the body must be a JSON object")
    return given


def _refuse_unsupported(given: Mapping[str, Any]) -> None:
    for name, neutral in NEUTRAL.items():
        if name in given and given[name] not in neutral:
            instead = "it must be 1" if name == "n" else "leave it out"
            raise Refusal(400, f"`{name}` is not supported: {instead}", param=name, code="unsupported_parameter")


def _settings(body: Body, options: dict[str, Any]) -> RSDSettings:
    """The settings that the request names: OpenAI's fields, and those in `rsd`, which count if both are given."""
    limits = {body.max_tokens, body.max_completion_tokens} - {None}
    if len(limits) > 1:
        raise Refusal(400, "`max_tokens` and `max_completion_tokens` differ: give one of them", param="max_tokens")
    own = {
        "max_tokens": next(iter(limits), None),
        "temperature": body.temperature,
        "top_p": body.top_p,
        "seed": None if body.seed is None else body.seed % SEEDS,
    }
    given = {key: value for key, value in own.items() if value is not None} | options
    names = {key: f"rsd.{key}" for key in options}
    if body.max_completion_tokens is not None:
        names = {"max_tokens": "max_completion_tokens", **names}
    return _validated(RSDSettings, given, names)


def _validated(model: type[M], given: Mapping[str, Any], names: Mapping[str, str] | None = None) -> M:
    """The fields, checked; `names` tells what the client calls them."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        where = error.errors(include_url=False, include_input=False)[0]["loc"]
        param = ".".join(map(str, where))
        raise Refusal(400, describe(error), param=(names or {}).get(param, param) or None) from error
