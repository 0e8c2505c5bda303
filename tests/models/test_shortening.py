"""A step that does not fit the context gets shorter, whichever way a server says so."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from rsd_graph import Generation, RSDSettings
from rsd_graph._internal import background
from rsd_graph.errors import ContextOverflowError
from rsd_graph.models.context import _room_in
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp, LlamaCpp
from rsd_graph.models.vllm import VLLM
from tests.conftest import FakeServer

CONTEXT = 100


def generate(model: VLLM | LlamaCpp, **settings: Any) -> Generation:
    async def run() -> Generation:
        try:
            return (await model.generate([HumanMessage("2+2?")], "", settings=RSDSettings(**settings)))[0]
        finally:
            await model.aclose()

    return asyncio.run(run())


def limited(server: FakeServer, prompt: int, refusal: Callable[[int], Any]) -> list[int]:
    """A server whose prompt has so many tokens, and which refuses what does not fit. Returns the limits asked for."""
    asked: list[int] = []

    def complete(body: dict[str, Any]) -> Any:
        limit: int = body["max_tokens"] if "max_tokens" in body else body["n_predict"]
        asked.append(limit)
        if prompt + limit > CONTEXT:
            return refusal(limit)
        choice = {"text": "x", "finish_reason": "length"}
        return {"choices": [choice], "content": "x", "stop_type": "limit"}

    server.answer("/v1/models", {"data": [{"id": "m"}]})
    server.answer("/v1/completions", complete)
    server.answer("/completion", complete)
    server.answer("/apply-template", {"prompt": "p"})
    return asked


@pytest.mark.parametrize("status", [200, 400, 413, 422, 500])
def test_the_numbers_in_the_refusal_are_used(server: FakeServer, status: int) -> None:
    """With a template, only the server knows the prompt's tokens: two requests, and the step is as long as fits."""
    message = f"This model's maximum context length is {CONTEXT} tokens. However, you requested 590 tokens"
    asked = limited(server, 78, lambda _: (status, {"error": {"message": message}}))
    assert generate(VLLM(server.url, template=lambda _: "p"), max_step_tokens=512).text == "x"
    assert asked == [512, 22]


def test_a_servers_own_length_is_used(server: FakeServer) -> None:
    """From the list of models and the tokenizer: vLLM with a template."""
    asked = limited(server, 78, lambda _: (400, {"error": "the context size has been exceeded"}))
    server.answer("/v1/models", {"data": [{"id": "m", "max_model_len": CONTEXT}]})
    server.answer("/tokenize", {"tokens": [1] * 78})
    assert generate(VLLM(server.url, template=lambda _: "p")).text == "x"
    assert asked == [512, 22]


def test_llamacpps_slot_is_used(server: FakeServer) -> None:
    """From `/props` and `/tokenize`: llama.cpp's prompts are text."""
    asked = limited(server, 78, lambda _: (500, {"error": {"message": "context shift is disabled", "code": 500}}))
    server.answer("/props", {"default_generation_settings": {"n_ctx": CONTEXT}})
    server.answer("/tokenize", {"tokens": [1] * 78})
    assert generate(LlamaCpp(server.url)).text == "x"
    assert asked == [512, 22]


@pytest.mark.parametrize("make", [lambda url: VLLM(url, template=lambda _: "p"), LlamaCpp])
def test_where_nothing_is_known_the_step_is_halved(server: FakeServer, make: Any) -> None:
    """Until it fits; the run ends only if not even one token does."""
    asked = limited(server, 78, lambda _: (400, {"error": "the prompt is too long"}))
    assert generate(make(server.url)).text == "x"
    assert asked == [512, 256, 128, 64, 32, 16]
    asked = limited(server, 99, lambda _: (400, {"error": "the prompt is too long"}))
    assert generate(make(server.url)).text == "x"
    assert asked[-1] == 1
    asked = limited(server, 100, lambda _: (400, {"error": "the prompt is too long"}))
    with pytest.raises(ContextOverflowError, match="too long"):
        generate(make(server.url))
    assert asked == [512, 256, 128, 64, 32, 16, 8, 4, 2, 1]


@pytest.mark.parametrize(
    ("refused", "room"),
    [
        ("maximum context length is 4096 tokens. However, you requested 4600 tokens (4088 in the messages, 512", 8),
        ("maximum context length is 4096 tokens and your request has 3900 input tokens (512 > 4096 - 3900)", 196),
        ("maximum context length of 4096 tokens. You requested a total of 4600 tokens: 4088 tokens from the input", 8),
        ("The decoder prompt (length 5000) is longer than the maximum model length of 4096.", -904),
        ("request (301 tokens) exceeds the available context size (256 tokens), try increasing it", -45),
        ("`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 3900 `inputs` tokens and 512", 196),
        ("context length is only 1,096 tokens, and you passed 1,000 input tokens", 96),
        ("context shift is disabled", None),
    ],
)
def test_numbers_are_read_from_refusals(refused: str, room: int | None) -> None:
    """How many tokens are left after the prompt, when 512 were asked for."""
    assert _room_in(refused, 512) == room


def test_a_real_model_fills_its_context(tiny_weights: Path) -> None:
    """SmolLM2 with 256 tokens: a prompt that leaves a few is continued by a few."""
    model = EmbeddedLlamaCpp(tiny_weights, slots=1, context=256, threads=1)
    messages = [HumanMessage("Count to one hundred.")]
    response = ", ".join(map(str, range(1, 55))) + ","
    (step,) = background.run(model.generate(messages, response, settings=RSDSettings(delimiter="never")))
    assert step.finish == "length"
    assert 0 < step.usage.completion <= 256 - step.usage.prompt
    background.run(model.aclose())
