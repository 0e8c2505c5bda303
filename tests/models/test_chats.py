"""Chat templates differ: in the roles they know, and in what they want to be told."""

import asyncio
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from rsd_graph import Generation, RSDSettings
from rsd_graph.config import load_config
from rsd_graph.errors import ModelResponseError
from rsd_graph.models.chats import one_system_message, without_system_role
from rsd_graph.models.llamacpp import LlamaCpp
from rsd_graph.models.vllm import VLLM
from rsd_graph.rewards import process_reward
from rsd_graph.rewards.judge import served_judge
from tests.conftest import FakeServer

MESSAGES: list[BaseMessage] = [SystemMessage("Think."), HumanMessage("2+2?")]


def generate(model: VLLM | LlamaCpp, *chats: list[BaseMessage]) -> None:
    async def run() -> None:
        try:
            for chat in chats:
                await model.generate(chat, "", settings=RSDSettings())
        finally:
            await model.aclose()

    asyncio.run(run())


def answering(server: FakeServer) -> None:
    server.answer("/v1/models", {"data": [{"id": "m"}]})
    server.answer("/v1/completions", {"choices": [{"text": "x", "finish_reason": "length"}]})
    server.answer("/completion", {"content": "x", "stop_type": "eos"})


def strict(status: int, message: str) -> Any:
    """Renders user and assistant in turn, and nothing else."""

    def render(body: dict[str, Any]) -> Any:
        roles = [each["role"] for each in body.get("messages", ())]
        if roles != ["user", "assistant", "user"][: len(roles)]:
            return (status, {"error": {"message": message}})
        return {"tokens": [1], "prompt": "p"}

    return render


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "System role not supported"),
        (400, "Conversation roles must alternate user/assistant/user/assistant/..."),
        (500, "Value is not callable: jinja template raised: Only user and assistant roles are supported!"),
        (422, "no"),
    ],
)
@pytest.mark.parametrize("client", [VLLM, LlamaCpp])
def test_a_template_without_a_system_role_gets_the_text_with_the_problem(
    server: FakeServer, client: type[VLLM | LlamaCpp], status: int, message: str
) -> None:
    """Gemma, and some of Mistral's: found with the first step, and remembered."""
    answering(server)
    path = "/tokenize" if client is VLLM else "/apply-template"
    server.answer(path, strict(status, message))
    generate(client(server.url), MESSAGES, [*MESSAGES[:-1], HumanMessage("3+3?")])
    sent = [body["messages"] for body in server.bodies(path) if "messages" in body]
    assert [each[0]["content"] for each in sent[-2:]] == ["Think.\n\n2+2?", "Think.\n\n3+3?"]
    assert [each[0]["role"] for each in sent].count("system") in (1, 3)  # a 500 without known words is asked again


def test_the_first_refusal_is_the_one_that_is_told(server: FakeServer) -> None:
    """Where no form of the chat helps, the others' errors would mislead."""
    answering(server)
    server.answer("/tokenize", (400, {"error": {"message": "first"}}), (400, {"error": {"message": "second"}}))
    with pytest.raises(ModelResponseError, match="first"):
        generate(VLLM(server.url), MESSAGES)


def test_other_errors_do_not_change_the_chat(server: FakeServer) -> None:
    """A wrong key, or an answer that cannot be read, is not the template's."""
    answering(server)
    answers: list[Any] = [(401, {}), (404, {}), {"tokens": None}]
    for answer in answers:
        server.requests.clear()
        server.answer("/tokenize", answer)
        with pytest.raises(ModelResponseError):
            generate(VLLM(server.url), MESSAGES)
        assert len(server.bodies("/tokenize")) == 1


def test_forms_of_a_chat() -> None:
    """Later system messages join what the user says next; without the role, the first does too."""
    chat = [
        {"role": "system", "content": "a"},
        {"role": "user", "content": "b"},
        {"role": "assistant", "content": "c"},
        {"role": "system", "content": "d"},
        {"role": "user", "content": "e"},
    ]
    tail = [{"role": "assistant", "content": "c"}, {"role": "user", "content": "d\n\ne"}]
    assert one_system_message(chat) == [*chat[:2], *tail]
    assert without_system_role(chat) == [{"role": "user", "content": "a\n\nb"}, *tail]


def test_options_reach_the_template(server: FakeServer) -> None:
    """A model that thinks first is told not to, wherever its chat is rendered."""
    answering(server)
    server.answer("/tokenize", {"tokens": [1]})
    server.answer("/apply-template", {"prompt": "p"})
    server.answer("/classify", {"data": [{"probs": [0.0]}], "usage": {}})
    top = [{"token": "Yes", "logprob": -0.1}]
    server.answer(
        "/v1/chat/completions", {"choices": [{"message": {}, "logprobs": {"content": [{"top_logprobs": top}]}}]}
    )
    options = {"enable_thinking": False}
    for model in (VLLM(server.url, chat_template_kwargs=options), LlamaCpp(server.url, chat_template_kwargs=options)):
        generate(model, MESSAGES)
    for reward in (
        process_reward(server.url, kind="outcome", chat_template_kwargs=options),
        served_judge(server.url, model="m", chat_template_kwargs=options),
    ):

        async def score(reward: Any = reward) -> None:
            await reward.score([HumanMessage("?"), AIMessage("x"), HumanMessage("?")], [], [Generation("4", "eos")])
            await reward.aclose()

        asyncio.run(score())
    chats = [body for _, body in server.requests if "messages" in body]
    assert len(chats) == 4
    assert all(body["chat_template_kwargs"] == options for body in chats)


def test_options_are_read_from_the_configuration() -> None:
    """A table in `rsd.toml`."""
    config = load_config(None, {"draft": {"url": "http://host", "chat_template_kwargs": {"enable_thinking": False}}})
    assert config.draft.chat_template_kwargs == {"enable_thinking": False}


def test_a_router_is_told_the_model(server: FakeServer) -> None:
    """llama.cpp's router takes it from every request; without a name, none is sent."""
    answering(server)
    server.answer("/apply-template", {"prompt": "p"})
    generate(LlamaCpp(server.url, name="qwen"), MESSAGES)
    assert [body["model"] for _, body in server.requests] == ["qwen", "qwen"]
    server.requests.clear()
    generate(LlamaCpp(server.url), MESSAGES)
    assert not [body for _, body in server.requests if "model" in body]


@pytest.mark.parametrize(
    ("ending", "finish"),
    [({"stopped_eos": True}, "eos"), ({"stopped_word": True}, "delimiter"), ({"stopped_limit": True}, "length")],
)
def test_older_llamacpps_are_understood(server: FakeServer, ending: dict[str, bool], finish: str) -> None:
    """No `stop_type`, no `timings.cache_n`, and probabilities of another distribution than the model's."""
    server.answer("/apply-template", {"prompt": "p"})
    old = {"content": "x", "timings": {"prompt_n": 3}, "tokens_evaluated": 3, "tokens_predicted": 1, **ending}
    probabilities = [{"content": "x", "probs": [{"tok_str": "x", "prob": 0.5}]}]
    for extra in ({}, {"completion_probabilities": probabilities}):
        server.answer("/completion", {**old, **extra})

        async def run() -> Generation:
            model = LlamaCpp(server.url)
            (step,) = await model.generate(MESSAGES, "", settings=RSDSettings())
            await model.aclose()
            return step

        step = asyncio.run(run())
        assert (step.text, step.finish, step.usage.cached, step.logprobs) == ("x", finish, 0, None)


def test_an_error_names_the_address(server: FakeServer) -> None:
    """Not the model's name in its place."""
    answering(server)
    server.answer("/tokenize", {"tokens": [1]})
    server.answer("/v1/completions", {"choices": [{"text": "x", "finish_reason": "stop"}]})
    with pytest.raises(ModelResponseError, match=f"^{server.url}/v1/completions does not say"):
        generate(VLLM(server.url), MESSAGES)
