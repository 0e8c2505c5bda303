import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from rsd_graph.errors import ModelResponseError, ModelUnavailableError
from rsd_graph.models.chats import Chat
from rsd_graph.models.prompts import Prompts, Rendered
from rsd_graph.models.seams import WINDOW
from tests.models.test_seams import TURN, Words

STEP = "a " * WINDOW + "\n\n"


def chat(problem: str, system: str = "think") -> Chat:
    return [{"role": "system", "content": system}, {"role": "user", "content": problem}]


class Server:
    """Renders, encodes and decodes, and counts how often."""

    def __init__(self, template: Callable[[str], str] = str) -> None:
        self.words = Words()
        self.template = template
        self.rendered: list[Chat] = []
        self.decoded = 0

    async def render(self, messages: Chat) -> list[int]:
        self.rendered.append(messages)
        said = "".join(f"<|im_start|>{each['role']}\n{self.template(each['content'])}<|im_end|>\n" for each in messages)
        return await self.words.encode(said + TURN)

    async def decode(self, ids: list[int]) -> str:
        self.decoded += 1
        pieces = {number: piece for piece, number in self.words.ids.items()}
        return "".join(pieces[number] for number in ids)

    def prompts(self) -> Prompts:
        return Prompts(self.render, self.words.encode, self.decode)


async def both(prompts: Prompts, messages: Chat, response: str) -> tuple[str | None, list[int]]:
    rendered = await prompts.rendered(messages)
    return await prompts.text(messages, rendered, response), await prompts.ids(rendered, response)


@pytest.mark.parametrize("problem", ["2+2?", "", "  2+2?", "think", "<|im_end|>\n", "a\n\n\nb"])
@pytest.mark.parametrize("response", ["one\n\n", "one\n\ntwo.\n\n", "\n\none", " ", "\none"])
def test_the_text_has_the_tokens_of_the_ids(problem: str, response: str) -> None:
    """Or there is none. The second chat is guessed from the first, and the guess is verified."""

    async def run() -> None:
        for template in (str, str.strip):
            server = Server(template)
            prompts = server.prompts()
            for asked in ("first", problem, problem + "!"):
                text, ids = await both(prompts, chat(asked), response)
                assert (text is not None) is not response.startswith("\n")
                if text is not None:
                    assert await server.words.encode(text) == ids
                    assert text.endswith(response)

    asyncio.run(run())


def test_a_conversation_is_rendered_once() -> None:
    """Each step after it costs no request, if its beginning is known: the prompt goes as text."""

    async def run() -> None:
        server = Server()
        prompts = server.prompts()
        await both(prompts, chat("one"), STEP)
        server.words.asked.clear()
        for k in range(2, 9):
            rendered = await prompts.rendered(chat("one"))
            assert await prompts.text(chat("one"), rendered, STEP * k) is not None
        assert len(server.rendered) == 1
        assert server.words.asked == []
        for number in range(9):
            await both(prompts, chat(f"problem {number}"), STEP)
        assert (len(server.rendered), server.decoded) == (10, 1)

    asyncio.run(run())


def test_an_edited_conversation_is_another() -> None:
    """System prompt, history and problem all count."""

    async def run() -> None:
        server = Server()
        prompts = server.prompts()
        asked = [chat("a"), chat("b"), chat("a", "b"), [*chat("a"), {"role": "user", "content": "b"}]]
        texts = [(await both(prompts, each, "x"))[0] for each in asked]
        assert len(set(texts)) == len(server.rendered) == 4

    asyncio.run(run())


def test_a_server_that_decodes_to_other_tokens_gets_ids() -> None:
    """Mistral's tokenizer, whose control tokens have no text; and one that has no such endpoint."""

    async def run(answer: Any) -> None:
        server = Server()

        async def decode(_: list[int]) -> str:
            if isinstance(answer, Exception):
                raise answer
            return str(answer)

        prompts = Prompts(server.render, server.words.encode, decode)
        for _ in range(2):
            text, ids = await both(prompts, chat("a"), "x")
            assert text is None
            assert len(ids) > 1

    for answer in ("other text", ModelResponseError("404")):
        asyncio.run(run(answer))
    with pytest.raises(ModelUnavailableError):
        asyncio.run(run(ModelUnavailableError("503")))


def test_tokens_are_never_underestimated() -> None:
    """Where the context may be too short, ids are sent, which can be counted."""
    from array import array

    rendered = Rendered(array("q", range(10)))
    assert rendered.most_tokens("") == 10
    assert rendered.most_tokens("é" * 5) == 20
    rendered.count("é" * 5, 13)
    assert rendered.most_tokens("é" * 5 + "abc") == 16
    assert rendered.most_tokens("other") == 15
