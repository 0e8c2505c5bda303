"""The prompts of a model on a server that has `/tokenize`: a chat's rendering, followed by the response so far.

A prompt is defined by its token ids: those of the rendered chat, followed by those of the response. It is sent as text
where the server makes these very ids of that text (`models.seams`), and as ids elsewhere. A chat is rendered once.
"""

import json
from array import array
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from rsd_graph.errors import ModelResponseError, ModelUnavailableError
from rsd_graph.models.chats import Chat
from rsd_graph.models.seams import Encode, Seams
from rsd_graph.models.shared import Shared

KEPT = 4096
"""Chats whose rendering is kept."""

Prompt = str | list[int]


@dataclass(slots=True)
class Rendered:
    """A chat in the model's template."""

    ids: "array[int]"
    text: str | None = None
    """What the server makes these ids of; None if that is not known."""
    is_text_known: bool = False
    """Whether it was asked for."""
    read: tuple[str, int] = ("", 0)
    """A response, and the tokens of the whole prompt with it, as the server has counted them."""

    def most_tokens(self, response: str) -> int:
        """At most so many tokens are in the prompt with this response: none is shorter than a byte."""
        known, tokens = self.read
        if known and response.startswith(known):
            return tokens + len(response[len(known) :].encode())
        return len(self.ids) + len(response.encode())

    def count(self, response: str, tokens: int) -> None:
        """Note how many tokens the server has read with this response."""
        self.read = (response, tokens)


@dataclass(slots=True)
class Frames:
    """What templates put around the last message: most put the same around each."""

    _around: dict[str, tuple[str, str]] = field(default_factory=dict)

    def text(self, chat: Chat) -> str | None:
        """What the chat probably looks like; None for the first chat with this beginning."""
        shape, content = _shape(chat)
        around = self._around.get(shape)
        return None if around is None or content is None else content.join(around)

    def learn(self, chat: Chat, text: str) -> None:
        """Remember what stands around the last message."""
        shape, content = _shape(chat)
        if content and text.count(content) == 1 and len(self._around) < KEPT:
            before, _, after = text.partition(content)
            self._around[shape] = (before, after)


class Prompts:
    """The prompts of one model.

    Args:
        render: Token ids of a chat in the model's template, ready for the answer.
        encode: Token ids of a text, special tokens in it as such and none added.
        decode: The text of token ids.
    """

    def __init__(
        self,
        render: Callable[[Chat], Awaitable[list[int]]],
        encode: Encode,
        decode: Callable[[list[int]], Awaitable[str]],
    ) -> None:
        self._render = render
        self._encode = encode
        self._decode = decode
        self._rendered: Shared[str, Rendered] = Shared(KEPT)
        self._seams = Seams(encode)
        self._frames = Frames()

    async def rendered(self, chat: Chat) -> Rendered:
        """The chat in the model's template. Raises as `render` does."""

        async def render() -> Rendered:
            return Rendered(array("q", await self._render(chat)))

        return await self._rendered.get(digest(chat), render)

    async def text(self, chat: Chat, rendered: Rendered, response: str) -> str | None:
        """The prompt as text; None if the server would make other ids of it, or that cannot be found out."""
        try:
            if not rendered.is_text_known:
                rendered.text = await self._text_of(chat, rendered)
                rendered.is_text_known = True
            if rendered.text is None or not await self._seams.are_clean([rendered.text, response]):
                return None
        except ModelUnavailableError:
            raise
        except ModelResponseError:  # it has no such endpoint
            rendered.is_text_known = True
            return None
        return rendered.text + response

    async def ids(self, rendered: Rendered, response: str) -> list[int]:
        """The prompt as ids. Raises as `encode` does."""
        return [*rendered.ids, *(await self._encode(response) if response else ())]

    async def _text_of(self, chat: Chat, rendered: Rendered) -> str | None:
        ids = rendered.ids.tolist()
        probable = self._frames.text(chat)
        if probable is not None and await self._encode(probable) == ids:
            return probable
        text = await self._decode(ids)
        if await self._encode(text) != ids:
            return None
        self._frames.learn(chat, text)
        return text


def _shape(chat: Chat) -> tuple[str, str | None]:
    """The chat without its last message's text, and that text; None if it is more than text."""
    *before, last = chat
    content = last.get("content")
    if not isinstance(content, str):
        return "", None
    empty: Mapping[str, Any] = {**last, "content": ""}
    return digest([*before, empty]), content


def digest(chat: Chat) -> str:
    """Stands for a chat."""
    said = json.dumps(list(chat), ensure_ascii=True, sort_keys=True)
    return blake2b(said.encode(), digest_size=16).hexdigest()
