"""Chats that a model's template accepts.

Some templates know no system role (Gemma, some of Mistral's), others want it once and at the start, or user and
assistant in turn. Where a template refuses a chat, the system text is put in front of the user's message that follows.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

from rsd_graph.errors import ModelResponseError

T = TypeVar("T")
Chat = Sequence[Mapping[str, Any]]

REFUSED = {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.INTERNAL_SERVER_ERROR}
"""What servers answer when a template raises an error."""


class AcceptedChats:
    """Renders chats in the form that the template takes, which is found with the first and remembered."""

    def __init__(self) -> None:
        self._first = 0

    async def render(self, chat: Chat, render: Callable[[Chat], Awaitable[T]]) -> T:
        """What `render` makes of the chat, or of the first form of it that it does not refuse.

        Raises:
            What `render` raised for the chat as it is.
        """
        refused: ModelResponseError | None = None
        seen: list[Chat] = []
        for index, form in enumerate(FORMS[self._first :], self._first):
            own = form(chat)
            if own in seen:
                continue
            seen.append(own)
            try:
                rendered = await render(own)
            except ModelResponseError as error:
                if error.status not in REFUSED:
                    raise
                refused = refused or error
            else:
                self._first = index
                return rendered
        assert refused is not None  # noqa: S101  # every form was refused
        raise refused


def as_it_is(chat: Chat) -> Chat:
    """The chat itself."""
    return [dict(message) for message in chat]


def one_system_message(chat: Chat) -> Chat:
    """System messages after the first become part of what the user says next; nobody speaks twice in a row."""
    head = [dict(chat[0])] if chat and chat[0]["role"] == "system" else []
    return [*head, *without_system_role(chat[len(head) :])]


def without_system_role(chat: Chat) -> Chat:
    """Every system message becomes part of what the user says next; nobody speaks twice in a row."""
    merged: list[dict[str, Any]] = []
    for message in chat:
        own = {**message, "role": "user" if message["role"] == "system" else message["role"]}
        if merged and merged[-1]["role"] == own["role"] and _is_text(merged[-1]) and _is_text(own):
            merged[-1]["content"] = f"{merged[-1]['content']}\n\n{own['content']}"
        else:
            merged.append(own)
    return merged


FORMS = (as_it_is, one_system_message, without_system_role)
"""From the faithful to the one that every template takes."""


def _is_text(message: Mapping[str, Any]) -> bool:
    return isinstance(message.get("content"), str) and not message.get("tool_calls")
