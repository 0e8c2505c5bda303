"""What a run is asked: the problem and the history, from either shape of the input."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from uuid import uuid4

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, ToolMessage, convert_to_messages
from pydantic import TypeAdapter, ValidationError

from rsd_graph.errors import InvalidProblemError

KEYS = ("problem", "history", "messages")
TAKEN = ("problem", "history")
"""Keys of an input that are gone when its run has begun. Its messages stay: the output brings them back."""


def read_input(given: object) -> dict[str, Any]:
    """As `read_question`, and the `messages` that the input brought, each with an id; None if it brought none."""
    question, messages = read_question(given), _value(given, "messages")
    return {**question, "messages": with_ids(read_messages(messages, "messages")) if messages else None}


def with_ids(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The messages, each with an id, as a `MessagesState` gives it one: LangGraph tells by it what was shown before."""
    return [each if each.id else each.model_copy(update={"id": str(uuid4())}) for each in messages]


def read_question(given: object) -> dict[str, Any]:
    """`problem` and `history` of an input: a mapping, or the instance of a parent graph's state class.

    Keys of other names belong to a parent graph and are ignored; None means that nothing is given.

    Raises:
        InvalidProblemError: the input holds no problem, two of them, or something that is no message.
    """
    if isinstance(given, str | bytes | Sequence | None):
        raise InvalidProblemError(
            f"the input must be a dict such as {{'problem': 'What is 2 + 2?'}}, got {given!r:.80}"
        )
    problem, history, messages = (_value(given, key) for key in KEYS)
    if not messages and (messages is None or isinstance(messages, Sequence)):
        if problem is None and not (isinstance(given, Mapping) and "problem" in given):
            raise InvalidProblemError(
                f"the input has no problem: pass `problem`, a text, or `messages`; got {_names(given)}"
            )
        return {"problem": read_problem(problem), "history": read_messages(history or [], "history")}
    if problem is not None or history:
        raise InvalidProblemError(
            "the input has both `messages` and `problem` or `history`: pass one of the two shapes"
        )
    return _last_question(read_messages(messages, "messages"))


def read_problem(problem: object) -> str:
    """The problem, if it is text."""
    if not isinstance(problem, str) or not problem.strip():
        raise InvalidProblemError(f"the problem must be non-empty text, got {problem!r:.80}")
    try:
        problem.encode()
    except UnicodeEncodeError as error:
        raise InvalidProblemError(f"the problem contains an unpaired surrogate: {error}") from error
    return problem


def read_messages(given: object, name: str) -> list[BaseMessage]:
    """Messages as LangChain takes them: message objects, dicts with role or type, pairs of role and text."""
    if isinstance(given, str | bytes) or not isinstance(given, Sequence):
        raise InvalidProblemError(f"`{name}` must be a list of messages, got {given!r:.80}")
    try:
        messages = convert_to_messages([_own_form(each) for each in given])
        "".join(message.text for message in messages).encode()
    except UnicodeEncodeError as error:
        raise InvalidProblemError(f"`{name}` contains an unpaired surrogate: {error}") from error
    except (ValueError, TypeError, KeyError, NotImplementedError) as error:  # whatever LangChain says of a wrong shape
        raise InvalidProblemError(
            f"`{name}` must be a list of messages such as {{'role': 'user', 'content': 'Hello'}}, got {given!r:.80}"
        ) from error
    return messages


@cache
def _any_message() -> TypeAdapter[BaseMessage]:
    return TypeAdapter(AnyMessage)


def _own_form(message: object) -> Any:
    """A message that LangChain wrote as JSON is read as it wrote it: its own reader would move some fields."""
    if not isinstance(message, Mapping) or "role" in message:
        return message
    try:
        return _any_message().validate_python(message)
    except ValidationError:
        return message


def _value(given: object, key: str) -> Any:
    return given.get(key) if isinstance(given, Mapping) else getattr(given, key, None)


def _names(given: object) -> str:
    return ", ".join(map(str, given)) or "an empty input" if isinstance(given, Mapping) else type(given).__name__


def _last_question(messages: Sequence[BaseMessage]) -> dict[str, Any]:
    """The last human message is the problem, and those before it are the history.

    Tool calls and their results may follow it, as when a supervisor hands over to this graph; they are left out.
    """
    last = max((index for index, each in enumerate(messages) if isinstance(each, HumanMessage)), default=None)
    if last is None:
        kinds = ", ".join(each.type for each in messages)
        raise InvalidProblemError(f"`messages` has no human message, which would be the problem; got {kinds}")
    for message in messages[last + 1 :]:
        if not isinstance(message, ToolMessage) and not (isinstance(message, AIMessage) and message.tool_calls):
            raise InvalidProblemError(
                f"the last human message in `messages` is followed by a message of type {message.type!r}: "
                "end `messages` with the human message to answer"
            )
    asked = messages[last]
    if isinstance(asked.content, list) and any(isinstance(b, dict) and b.get("type") != "text" for b in asked.content):
        raise InvalidProblemError(f"the problem must be text, got a message with other content: {asked.content!r:.80}")
    return {"problem": read_problem(str(asked.text)), "history": list(messages[:last])}
