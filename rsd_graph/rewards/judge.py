"""A LangChain chat model as the judge: the reward is the normalised probability of Yes as its first token.

The two words' probabilities are looked up among the likeliest first tokens, which is all that most servers return. On
vLLM, `rewards.families.judge` reads them exactly.
"""

import math
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import openai
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pydantic import SecretStr

from rsd_graph._internal import background
from rsd_graph.control_tokens import neutralize
from rsd_graph.errors import ModelError, RewardError
from rsd_graph.models.http import ModelServer, model_error
from rsd_graph.models.logprobs import checked_logprob
from rsd_graph.models.retries import Retrier, RetryPolicy
from rsd_graph.models.served_chat import ServedChat
from rsd_graph.rewards.families.judge import question
from rsd_graph.rewards.prm import problem_text, step_texts
from rsd_graph.state import Generation, Score, Step, TokenUsage


class JudgeReward:
    """Asks a LangChain chat model whether the newest step is right.

    Args:
        model: Any chat model that returns top log-probabilities in the OpenAI format, such as `ChatOpenAI`.
        name: What to call the reward.
        turn: Held around each call; for an embedded judge, its model's `turn`.
        retry: How long to keep asking when it does not answer. The chat model itself should not retry
            (`max_retries=0`).
        close: Closes the chat model's connections, if they belong to the judge; see `served_judge`.
    """

    needs_logprobs = False
    """It reads the steps' texts; see `protocols.needs_logprobs`."""
    traces_itself = True
    """LangChain reports what its chat model is asked; see `tracing`."""

    def __init__(
        self,
        model: BaseChatModel,
        *,
        name: str = "judge",
        turn: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
        retry: RetryPolicy | None = None,
        close: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self.name = name
        self._close = close
        self._retrier = Retrier(retry)
        self._model = model.bind(logprobs=True, top_logprobs=10, max_tokens=1, temperature=0)
        self._turn = turn
        # our own keeps connections for each process
        self._used = background.PerProcess(list[str])
        self._forks = isinstance(model, ServedChat)
        self._secrets = [
            value.get_secret_value() for value in vars(model).values() if isinstance(value, SecretStr) and value
        ]

    async def score(
        self, messages: Sequence[BaseMessage], steps: Sequence[Step], candidates: Sequence[Generation]
    ) -> list[Score]:
        """See `RewardModel.score`.

        Raises:
            RewardError: the answer holds no log-probability of Yes or No.
            ModelError: the judge's server could not answer. Chat models that do not use the `openai` client raise
                errors of their own.
        """
        problem = problem_text(messages)
        asked = [question(problem, step_texts(steps, candidate)) for candidate in candidates]
        return [await background.call(self._judge(neutralize(each))) for each in asked]

    async def start(self) -> None:
        """Nothing to load: the chat model's server runs already."""

    async def aclose(self) -> None:
        """Close the connections that belong to the judge."""
        if self._close is not None:
            await background.call(self._close())

    async def _judge(self, asked: str) -> Score:
        answer = await self._retrier.ask(lambda: self._ask(asked))
        tokens: dict[str, Any] = {**(answer.usage_metadata or {})}
        return Score(
            reward=self._yes(answer.response_metadata),
            usage=TokenUsage(
                prompt=tokens.get("input_tokens", 0),
                cached=tokens.get("input_token_details", {}).get("cache_read", 0) or 0,
                completion=tokens.get("output_tokens", 0),
            ),
        )

    async def _ask(self, asked: str) -> AIMessage:
        if self._used.foreign and not self._forks:
            raise ModelError(
                f"{self.name}: its chat model was used before this process was forked, and may hold locks and "
                "connections of the parent's. Make one in the child"
            )
        self._used.get()
        try:
            async with self._turn():
                return await self._model.ainvoke([HumanMessage(asked)])
        except (openai.OpenAIError, ValueError, TypeError, LookupError) as error:  # ChatOpenAI trusts what it reads
            cause = None if any(secret in f"{error!r}{error}" for secret in self._secrets) else error
            raise model_error(error, self.name, self._secrets) from cause

    def _yes(self, metadata: dict[str, Any]) -> float:
        content = (metadata.get("logprobs") or {}).get("content") or [{}]
        mass = {"yes": 0.0, "no": 0.0}
        for token in content[0].get("top_logprobs") or ():
            word = token["token"].strip().lower()
            if word in mass:
                mass[word] += math.exp(checked_logprob(token.get("logprob"), self.name, RewardError))
        if not any(mass.values()):
            raise RewardError(
                f"{self.name}: neither Yes nor No is among the judge's likeliest first words; does the server return "
                "top log-probabilities, and does the model follow instructions?"
            )
        return mass["yes"] / (mass["yes"] + mass["no"])


def served_judge(
    url: str,
    *,
    model: str,
    api_key: str | None = None,
    timeout: float = 600,
    name: str = "judge",
    turn: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
    chat_template_kwargs: Mapping[str, Any] | None = None,
) -> JudgeReward:
    """A judge on an OpenAI-compatible server, with connections of its own.

    Args:
        url: The server's address, with or without `/v1`.
        model: The name that the server knows the model by.
        api_key: Sent as a bearer token.
        timeout: Seconds to wait for one verdict.
        name: What to call the reward.
        turn: As for `JudgeReward`.
        chat_template_kwargs: Passed to the model's chat template, such as `{"enable_thinking": False}`.
    """
    server = ModelServer(url, api_key=api_key, timeout=timeout, retry=RetryPolicy(attempts=1, patience=0))
    options = {"chat_template_kwargs": dict(chat_template_kwargs)} if chat_template_kwargs else None
    return JudgeReward(ServedChat(server, model, options), name=name, turn=turn, close=server.aclose)
