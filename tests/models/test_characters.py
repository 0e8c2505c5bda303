import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from rsd_graph import RSDSettings
from rsd_graph._internal import background
from rsd_graph.models.characters import whole
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp
from rsd_graph.models.vllm import VLLM
from tests.conftest import FakeServer


@pytest.fixture(scope="module")
def tiny(tiny_weights: Path) -> Iterator[EmbeddedLlamaCpp]:
    model = EmbeddedLlamaCpp(tiny_weights, slots=1, context=512, threads=1)
    yield model
    background.run(model.aclose())


@pytest.mark.parametrize("tokens", [1, 2])
@pytest.mark.parametrize("client", ["native", "openai"])
def test_a_character_of_several_tokens_arrives_whole(tiny: EmbeddedLlamaCpp, client: str, tokens: int) -> None:
    """A real model that repeats a parrot, three tokens each, in steps of one and two tokens, as a run would ask."""
    messages = [HumanMessage("Repeat after me: 🦜🦜🦜🦜🦜🦜"), AIMessage("🦜" * 6), HumanMessage("Again: " + "🦜" * 8)]
    model: Any = tiny if client == "native" else VLLM(background.run(tiny.url()))
    settings = RSDSettings(max_step_tokens=tokens, delimiter="never")
    response = "🦜" * 4
    for _ in range(4):
        (step,) = background.run(model.generate(messages, response, settings=settings))
        assert step.text
        response += step.text
    assert "\ufffd" not in response
    assert response.startswith("🦜" * 5)
    if client == "openai":
        background.run(model.aclose())


def test_a_held_back_character_is_asked_for_with_more_tokens(server: FakeServer) -> None:
    """VLLM keeps the torso to itself and answers nothing: the step gets the tokens that its first character needs."""
    server.answer("/v1/models", {"data": [{"id": "m"}]})
    server.answer("/tokenize", {"tokens": [1]})
    server.answer(
        "/v1/completions",
        lambda body: {"choices": [{"text": "鱼" if body["max_tokens"] >= 3 else "", "finish_reason": "length"}]},
    )

    async def run() -> str:
        model = VLLM(server.url)
        (step,) = await model.generate([HumanMessage("?")], "", settings=RSDSettings(max_step_tokens=1))
        await model.aclose()
        return step.text

    assert asyncio.run(run()) == "鱼"
    assert [body["max_tokens"] for body in server.bodies("/v1/completions")] == [1, 2, 3]


def test_only_a_cut_leaves_a_torso() -> None:
    """A model that ends its text with the replacement character meant it."""
    assert whole("a\ufffd", "length") == "a"
    assert whole("a\ufffd", "eos") == "a\ufffd"
    assert whole("\ufffda", "length") == "\ufffda"
