"""Makes records again of a state that came back as JSON, and refuses values that no run could have written.

Studio, the LangGraph API and `update_state` give a dict where the run wrote a record.
"""

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Annotated, Any

from langchain_core.messages import BaseMessage
from pydantic import BeforeValidator, ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from rsd_graph.errors import InvalidStateError, describe
from rsd_graph.question import TAKEN, read_input, read_messages, read_problem
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Author, Count, Generation, Reward, Step, Stop, Text, Usage

LISTS: dict[str, type] = {"steps": Step, "conversation": BaseMessage, "messages": BaseMessage}
"""Keys whose lists grow with the run: they are not read again where they hold records already."""


def _conversation(given: object) -> list[BaseMessage]:
    messages = read_messages(given, "conversation")
    if all(message.type == "system" for message in messages):
        raise InvalidStateError("`conversation` has no message that a response could answer")
    return messages


class Records(TypedDict, total=False):
    """The state of a run."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]  # pydantic's way to configure a TypedDict

    problem: Annotated[str, BeforeValidator(read_problem)]
    history: Annotated[list[BaseMessage], BeforeValidator(lambda given: read_messages(given, "history"))] | None
    messages: Annotated[list[BaseMessage], BeforeValidator(lambda given: read_messages(given, "messages"))] | None
    response: Text
    answer: Text | None
    steps: list[Step]
    stop: Stop | None
    usage: Annotated[Usage, BeforeValidator(lambda usage: {} if usage is None else usage)]
    settings: RSDSettings
    conversation: Annotated[list[BaseMessage], BeforeValidator(_conversation)]
    message_id: Text
    proposal: Generation | None
    author: Author
    reward: Reward | None
    gated: bool
    shown: Count
    decision: Any
    code: Text | None
    output: Text | None
    rejected: Generation | None
    target_reward: Reward | None
    chosen: bool | None
    edited: bool | None
    redraw: int | None


_adapter = TypeAdapter(Records)


def restored(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state with a record wherever a run has one.

    Raises:
        InvalidStateError: a value has the wrong type or is out of range; the message names it.
    """
    unread = [key for key in state if key not in TAKEN and not _is_list_of_records(state, key)]
    return {**state, **_read({key: state[key] for key in unread})}


def edited(update: Mapping[str, Any]) -> dict[str, Any]:
    """As `restored`, for an edit of the state: the input and what is a record already are checked too."""
    return {**_read({key: _as_json(value) for key, value in {**update, **_asked(update)}.items()})}


def _asked(update: Mapping[str, Any]) -> dict[str, Any]:
    """The question of an edit that starts a run. Messages beside steps ask nothing: a whole state comes back."""
    if update.get("messages"):
        return {} if "steps" in update else read_input({"messages": update["messages"]})
    return {} if update.get("problem") is None else {"messages": None}


def _read(values: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return _adapter.validate_python(values)
    except ValidationError as error:
        raise InvalidStateError(f"the state of the run cannot be read: {describe(error)}") from error


def _is_list_of_records(state: Mapping[str, Any], key: str) -> bool:
    """Looked at before every node: the types of a long list are few."""
    record, value = LISTS.get(key), state[key]
    return (
        record is not None
        and isinstance(value, list)
        and all(issubclass(kind, record) for kind in set(map(type, value)))
    )


def _as_json(value: Any) -> Any:
    if isinstance(value, RSDSettings):
        return value.model_dump(exclude_unset=True)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, list | tuple):
        return [_as_json(each) for each in value]
    return value
