import asyncio
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage

from rsd_graph import Generation, RSDSettings, TokenUsage
from rsd_graph.errors import ModelResponseError
from rsd_graph.models.seams import WINDOW
from rsd_graph.models.vllm import VLLM
from rsd_graph.protocols import generating
from tests.conftest import FakeServer

MESSAGES = [SystemMessage("think"), HumanMessage("2+2?")]


def choice(text: str = "four", **fields: Any) -> dict[str, Any]:
    return {
        "choices": [{"index": 0, "text": text, "logprobs": {"token_logprobs": [-0.5, -0.25]}, **fields}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 8}},
    }


def vllm_like(server: FakeServer, answer: Any) -> None:
    """Answer as vLLM does: token ids for a chat, other ids for plain text."""
    server.answer("/v1/models", {"data": [{"id": "qwen"}]})
    server.answer("/tokenize", lambda body: {"tokens": [1, 2, 3] if "messages" in body else [4, 5]})
    server.answer("/v1/completions", answer)


def generate(model: VLLM, response: str = "", n: int = 1, **settings: Any) -> list[Generation]:
    async def run() -> list[Generation]:
        try:
            return await model.generate(MESSAGES, response, settings=RSDSettings(**settings), n=n)
        finally:
            await model.aclose()

    return asyncio.run(run())


def test_the_prompt_is_the_servers_own_tokens(server: FakeServer) -> None:
    """The template's ids, then the response's, with no special tokens added; the settings go along by name."""
    vllm_like(server, choice(finish_reason="stop", stop_reason="\n\n"))
    model = VLLM(server.url)
    generate(model, "one\n\n", max_step_tokens=7, temperature=0.5, top_p=0.9, seed=3)
    assert model.name == "qwen"
    chat, text = server.bodies("/tokenize")
    assert chat["messages"] == [{"role": "system", "content": "think"}, {"role": "user", "content": "2+2?"}]
    assert (text["prompt"], text["add_special_tokens"]) == ("one\n\n", False)
    (body,) = server.bodies("/v1/completions")
    assert body == {
        "model": "qwen",
        "prompt": [1, 2, 3, 4, 5],
        "max_tokens": 7,
        "stop": ["\n\n"],
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "seed": 3,
        "n": 1,
        "logprobs": 1,
        "add_special_tokens": False,
    }


@pytest.mark.parametrize(
    ("ending", "finish"),
    [
        ({"finish_reason": "stop", "stop_reason": "\n\n"}, "delimiter"),
        ({"finish_reason": "stop", "stop_reason": None}, "eos"),
        ({"finish_reason": "stop", "stop_reason": 151645}, "eos"),
        ({"finish_reason": "length", "stop_reason": None}, "length"),
        ({"finish_reason": "stop", "matched_stop": "\n\n"}, "delimiter"),
        ({"finish_reason": "stop", "matched_stop": 151645}, "eos"),
    ],
)
def test_the_three_endings_are_distinguished(server: FakeServer, ending: dict[str, Any], finish: str) -> None:
    """Delimiter, end of text and token limit, as vLLM and SGLang report them."""
    vllm_like(server, choice(**ending))
    expected = Generation("four", finish, TokenUsage(12, 8, 2), (-0.5, -0.25))  # type: ignore[arg-type]
    assert generate(VLLM(server.url)) == [expected]


@pytest.mark.parametrize(
    ("ending", "message"),
    [
        ({"finish_reason": "stop"}, "no `stop_reason`"),
        ({"finish_reason": "content_filter", "stop_reason": None}, "content_filter"),
    ],
)
def test_an_ending_that_cannot_be_read_is_an_error(server: FakeServer, ending: dict[str, Any], message: str) -> None:
    """Where the server does not say why it stopped, no guess is made."""
    vllm_like(server, choice(**ending))
    with pytest.raises(ModelResponseError, match=message):
        generate(VLLM(server.url))


def test_an_answer_without_choices_is_an_error(server: FakeServer) -> None:
    """The missing field is named."""
    vllm_like(server, {"object": "text_completion"})
    with pytest.raises(ModelResponseError, match="choices: field required"):
        generate(VLLM(server.url))


def test_several_candidates_read_the_prompt_once(server: FakeServer) -> None:
    """The prompt's tokens are counted for the first of n candidates only."""
    answer = choice(finish_reason="stop", stop_reason="\n\n")
    answer["choices"] *= 2
    vllm_like(server, answer)
    first, second = generate(VLLM(server.url), n=2)
    assert (first.usage, second.usage) == (TokenUsage(12, 8, 2), TokenUsage(0, 0, 2))


def test_a_server_that_renders_text_is_asked_for_text(server: FakeServer) -> None:
    """llama.cpp's server has `/apply-template`, and a `/tokenize` that ignores chats."""
    vllm_like(server, choice(finish_reason="length"))
    server.answer("/tokenize", {"tokens": []})
    server.answer("/apply-template", {"prompt": "<user>2+2?<assistant>"})
    generate(VLLM(server.url), "one\n\n")
    assert server.bodies("/v1/completions")[0]["prompt"] == "<user>2+2?<assistant>one\n\n"


def test_a_server_that_renders_nothing_needs_a_template(server: FakeServer) -> None:
    """The error says what to pass, and passing it helps."""
    server.answer("/v1/completions", choice(finish_reason="length"))
    with pytest.raises(ModelResponseError, match="Pass `template`"):
        generate(VLLM(server.url, model="m"))
    generate(VLLM(server.url, model="m", template=lambda messages: f"Q: {messages[-1].text}\nA: "), "one\n\n")
    assert server.bodies("/v1/completions")[0]["prompt"] == "Q: 2+2?\nA: one\n\n"


def test_log_probabilities_are_left_out_where_nobody_reads_them(server: FakeServer) -> None:
    """They are most of an answer. Tokens are still counted: of several candidates by their log-probabilities."""

    def answer(body: dict[str, Any]) -> dict[str, Any]:
        asked = body["logprobs"] is not None
        said = choice(finish_reason="stop", stop_reason="\n\n")
        said["choices"] = [{**said["choices"][0], "logprobs": said["choices"][0]["logprobs"] if asked else None}]
        said["choices"] *= body["n"]
        said["usage"]["completion_tokens"] = 2 * body["n"]
        return said

    vllm_like(server, answer)
    with generating(logprobs=False):
        (alone,) = generate(VLLM(server.url))
        pair = generate(VLLM(server.url), n=2)
    assert (alone.logprobs, alone.usage.completion) == (None, 2)
    assert [each.usage.completion for each in pair] == [2, 2]


def test_a_server_that_reports_no_usage_is_asked_for_log_probabilities(server: FakeServer) -> None:
    """From its second answer on, they count its tokens."""

    def answer(body: dict[str, Any]) -> dict[str, Any]:
        logprobs = {"token_logprobs": [-0.5]} if body["logprobs"] is not None else None
        return {"choices": [{"text": "a", "finish_reason": "length", "logprobs": logprobs}]}

    vllm_like(server, answer)
    model = VLLM(server.url)
    with generating(logprobs=False):
        assert [generate(model)[0].logprobs for _ in range(2)] == [None, (-0.5,)]


def test_a_step_is_one_request_once_the_conversation_is_known(server: FakeServer) -> None:
    """The prompt goes as text, and nothing is rendered or tokenized again."""
    vllm_like(server, choice(finish_reason="stop", stop_reason="\n\n"))
    server.answer("/tokenize", lambda body: {"tokens": [ord(c) for c in body.get("prompt", "?2+2!")]})
    server.answer("/detokenize", lambda body: {"prompt": "".join(map(chr, body["tokens"]))})
    model = VLLM(server.url)
    step = "a" * WINDOW + "\n\n"
    for count in range(2):
        generate(model, step * count)
    before = len(server.requests)
    for count in range(2, 7):
        generate(model, step * count)
    assert [path for path, _ in server.requests[before:]] == ["/v1/completions"] * 5
    assert server.bodies("/v1/completions")[-1]["prompt"] == "?2+2!" + step * 6


def test_a_prompt_that_may_not_fit_is_counted(server: FakeServer) -> None:
    """It goes as ids then, and the step gets what room there is."""
    vllm_like(server, choice(finish_reason="stop", stop_reason="\n\n"))
    server.answer("/v1/models", {"data": [{"id": "qwen", "max_model_len": 20}]})
    server.answer("/tokenize", lambda body: {"tokens": [ord(c) for c in body.get("prompt", "?2+2!")]})
    server.answer("/detokenize", lambda body: {"prompt": "".join(map(chr, body["tokens"]))})
    generate(VLLM(server.url), "abcdef", max_step_tokens=10)
    generate(VLLM(server.url), "abcdef", max_step_tokens=9)
    tight, roomy = server.bodies("/v1/completions")
    assert (tight["prompt"], tight["max_tokens"]) == ([ord(c) for c in "?2+2!abcdef"], 9)
    assert (roomy["prompt"], roomy["max_tokens"]) == ("?2+2!abcdef", 9)
