import asyncio
import math
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from rsd_graph import Generation, Score, Step, TokenUsage
from rsd_graph._internal import background
from rsd_graph.errors import (
    ContextOverflowError,
    ModelError,
    ModelResponseError,
    ModelUnreachableError,
    RewardError,
)
from rsd_graph.rewards.judge import JudgeReward
from tests.conftest import FakeServer

STEP = Generation("2+2=4", "delimiter")


class Judge(BaseChatModel):
    """Answers with the probabilities it was given."""

    words: dict[str, float]
    asked: list[str] = []  # noqa: RUF012  # pydantic copies it

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages: list[BaseMessage], *_: Any, **options: Any) -> ChatResult:
        assert options["logprobs"] is True
        self.asked.append(messages[-1].text)
        top = [{"token": word, "logprob": math.log(mass)} for word, mass in self.words.items()]
        message = AIMessage("Yes", response_metadata={"logprobs": {"content": [{"top_logprobs": top}]}})
        return ChatResult(generations=[ChatGeneration(message=message)])


def score(judge: BaseChatModel) -> Score:
    steps = [Step("first", "draft"), Step("second", "target")]
    return asyncio.run(JudgeReward(judge).score([HumanMessage("2+2?")], steps, [STEP]))[0]


@pytest.fixture
def chat(server: FakeServer) -> Iterator[ChatOpenAI]:
    """A chat model of the fake server's, whose connections are closed."""
    client = openai.DefaultAsyncHttpxClient()
    key = SecretStr("none")
    yield ChatOpenAI(base_url=f"{server.url}/v1", api_key=key, model="m", max_retries=0, http_async_client=client)
    background.run(client.aclose())


@pytest.mark.parametrize(
    ("words", "reward"),
    [({"Yes": 0.6, "No": 0.2, "Maybe": 0.2}, 0.75), ({" yes": 0.1, "Yes": 0.2, "NO": 0.1}, 0.75), ({"No": 0.9}, 0.0)],
)
def test_the_reward_is_the_normalised_probability_of_yes(words: dict[str, float], reward: float) -> None:
    """Spellings of Yes and No are summed, and everything else is left out."""
    assert score(Judge(words=words)).reward == pytest.approx(reward)


def test_the_judge_sees_problem_steps_and_candidate() -> None:
    """All three are in the question, verbatim."""
    judge = Judge(words={"Yes": 1.0})
    score(judge)
    assert all(part in judge.asked[0] for part in ("2+2?", "first\n\nsecond", "2+2=4"))


def test_a_judge_that_says_neither_is_an_error() -> None:
    """No reward is made up."""
    with pytest.raises(RewardError, match="neither Yes nor No"):
        score(Judge(words={"Perhaps": 1.0}))


def test_chat_openai_asks_a_server_for_log_probabilities(server: FakeServer, chat: ChatOpenAI) -> None:
    """What `ChatOpenAI` sends and reads: one token, its likeliest alternatives, and the usage."""
    top = [
        {"token": "Yes", "logprob": math.log(0.9), "bytes": None},
        {"token": "No", "logprob": math.log(0.1), "bytes": None},
    ]
    server.answer(
        "/v1/chat/completions",
        {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "length",
                    "message": {"role": "assistant", "content": "Yes"},
                    "logprobs": {"content": [{**top[0], "top_logprobs": top}], "refusal": None},
                }
            ],
            "usage": {
                "prompt_tokens": 50,
                "completion_tokens": 1,
                "total_tokens": 51,
                "prompt_tokens_details": {"cached_tokens": 40},
            },
        },
    )
    judged = score(chat)
    assert judged.reward == pytest.approx(0.9)
    assert judged.usage == TokenUsage(prompt=50, cached=40, completion=1)
    (body,) = server.bodies("/v1/chat/completions")
    assert (body["logprobs"], body["temperature"]) == (True, 0)
    assert 1 in (body.get("max_tokens"), body.get("max_completion_tokens"))


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((500, {"error": {"message": "out of memory"}}), ModelResponseError),
        ((400, {"error": {"message": "maximum context length is 512 tokens"}}), ContextOverflowError),
        (b"", ModelUnreachableError),
        ({"choices": []}, ModelError),
        ({"choices": None}, ModelError),
        ([1, 2], ModelError),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{a", ModelError),
    ],
)
def test_a_judge_that_fails_is_a_typed_error(
    server: FakeServer, chat: ChatOpenAI, answer: Any, error: type[ModelError]
) -> None:
    """As any other server's failure, it names who failed."""
    server.answer("/v1/chat/completions", answer)
    with pytest.raises(error, match="judge"):
        score(chat)
