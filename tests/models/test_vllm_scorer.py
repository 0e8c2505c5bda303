import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from rsd_graph import TokenUsage
from rsd_graph.errors import ContextOverflowError, ModelResponseError, ModelUnavailableError, RewardError
from rsd_graph.models.vllm_scorer import VLLMScorer
from rsd_graph.protocols import Reading
from tests.conftest import FakeServer

USAGE = {"prompt_tokens": 3, "total_tokens": 3, "completion_tokens": 0}
NOT_THERE = (404, {"error": {"message": "Not Found"}})


def call(server: FakeServer, do: Callable[[VLLMScorer], Coroutine[Any, Any, Any]], **options: Any) -> Any:
    async def run() -> Any:
        if "/v1/models" not in server.answers:
            server.answer("/v1/models", {"data": [{"id": "prm", "max_model_len": 8}]})
        engine = VLLMScorer(server.url, model="prm", **options)
        try:
            return await do(engine)
        finally:
            await engine.aclose()

    return asyncio.run(run())


def test_the_head_is_read_at_the_last_token(server: FakeServer) -> None:
    """Without activation: the family applies it."""
    server.answer("/classify", {"data": [{"probs": [-1.5]}], "usage": USAGE})
    assert call(server, lambda engine: engine.head([1, 2, 3])) == Reading((-1.5,), TokenUsage(prompt=3))
    assert server.bodies("/classify") == [{"model": "prm", "input": [1, 2, 3], "use_activation": False}]


def test_a_model_with_token_wise_pooling_is_read_so(server: FakeServer) -> None:
    """The last token's logits count; an endpoint that the server does not have is tried only once."""
    server.answer("/classify", NOT_THERE)
    server.answer("/pooling", {"data": [{"data": [[9.0, 9.0], [0.5, 1.5]]}], "usage": USAGE})

    async def twice(engine: VLLMScorer) -> Reading:
        await engine.head([1, 2])
        return await engine.head([1, 2, 3])

    assert call(server, twice).values == (0.5, 1.5)
    assert [path for path, _ in server.requests] == ["/v1/models", "/classify", "/pooling", "/pooling"]
    assert server.bodies("/pooling")[0]["task"] == "token_classify"


@pytest.mark.parametrize(
    ("classify", "pooling", "error"),
    [
        (NOT_THERE, NOT_THERE, ModelResponseError),
        (NOT_THERE, {"data": [{"data": []}], "usage": USAGE}, RewardError),
        ((503, {"error": "loading"}), NOT_THERE, ModelUnavailableError),
        ((400, {"error": {"message": "maximum context length is 8"}}), NOT_THERE, ContextOverflowError),
        ({"data": []}, NOT_THERE, ModelResponseError),
    ],
)
def test_a_head_that_cannot_be_read_is_an_error(
    server: FakeServer, classify: Any, pooling: Any, error: type[Exception]
) -> None:
    """Each with its class."""
    server.answer("/classify", classify)
    server.answer("/pooling", pooling)
    with pytest.raises(error):
        call(server, lambda engine: engine.head([1]))


def test_labels_are_read_by_their_ids(server: FakeServer) -> None:
    """In the order asked for, whatever the server's."""
    top = [{"token_id:8": -0.5, "token_id:7": -2.0, "token_id:1": -0.1}]
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 2}}
    server.answer("/v1/completions", {"choices": [{"logprobs": {"top_logprobs": top}}], "usage": usage})
    assert call(server, lambda engine: engine.label_logprobs([1, 2, 3], [7, 8])) == Reading(
        (-2.0, -0.5), TokenUsage(3, 2, 1)
    )
    (body,) = server.bodies("/v1/completions")
    assert (body["prompt"], body["logprob_token_ids"], body["max_tokens"]) == ([1, 2, 3], [7, 8], 1)
    with pytest.raises(ContextOverflowError):  # there is no room for the answer
        call(server, lambda engine: engine.label_logprobs([1] * 8, [7]))
    with pytest.raises(RewardError, match=r"token_id:9.*logprob_token_ids"):
        call(server, lambda engine: engine.label_logprobs([1], [9]))


def test_a_text_is_encoded_once(server: FakeServer) -> None:
    """Each step is sent again with every later one; an empty text needs no server."""
    server.answer("/tokenize", {"tokens": [5, 6]})

    async def again(engine: VLLMScorer) -> list[list[int]]:
        return [
            await engine.encode("a"),
            await engine.encode("a"),
            await engine.encode(""),
            await engine.encode("a", special_tokens=True),
        ]

    assert call(server, again) == [[5, 6], [5, 6], [], [5, 6]]
    assert [body["add_special_tokens"] for body in server.bodies("/tokenize")] == [False, True]


def test_the_model_is_the_servers_first(server: FakeServer) -> None:
    """Where none is named."""
    server.answer("/v1/models", {"data": [{"id": "Skywork/prm"}]})
    server.answer("/tokenize", {"tokens": [1]})

    async def run() -> str:
        engine = VLLMScorer(server.url)
        await engine.chat([{"role": "user", "content": "x"}], generation_prompt=True)
        await engine.aclose()
        return engine.name

    assert asyncio.run(run()) == "Skywork/prm"
    assert server.bodies("/tokenize")[0]["add_generation_prompt"] is True
