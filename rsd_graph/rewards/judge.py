"""A chat model as the judge: the reward is the normalised probability of Yes.

On a vLLM server the two words' probabilities are read as such (`judge`, a recipe of `rewards.prm`); of any other chat
model, from the likeliest first tokens that it returns (`JudgeReward`).

Measured on the embedded pair, small models are no better than chance at this (README, "Rewards"); a capable judge on a
server is what it is for.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import openai
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from rsd_graph._internal import background
from rsd_graph.acceptance import sigmoid
from rsd_graph.errors import RewardError
from rsd_graph.models.http import model_error
from rsd_graph.models.retries import Retrier, RetryPolicy
from rsd_graph.protocols import ScoringBackend
from rsd_graph.rewards.prm import step_texts
from rsd_graph.state import Generation, Score, Step, TokenUsage

QUESTION = """\
Here is a problem, and the beginning of a solution.

Problem:
{problem}

Steps so far:
{steps}

Newest step:
{candidate}

Is the newest step correct, given the problem and the steps before it? Answer with one word, Yes or No."""


YES, NO = "Yes", "No"


def question(problem: str, steps: Sequence[str]) -> str:
    """What the judge is asked about the last of these steps."""
    *before, newest = steps
    return QUESTION.format(problem=problem, steps="\n\n".join(before) or "(none)", candidate=newest)


async def judge(engine: ScoringBackend, problem: str, steps: Sequence[str]) -> Score:
    """Score the last step by the probability of Yes against No as the judge's first token."""
    tokens = await engine.chat([{"role": "user", "content": question(problem, steps)}], generation_prompt=True)
    words = [(await engine.encode(word))[0] for word in (YES, NO)]
    reading = await engine.labels(tokens, words)
    yes, no = reading.values
    return Score(sigmoid(yes - no), reading.usage)


class JudgeReward:
    """Asks a LangChain chat model whether the newest step is right.

    Args:
        model: Any chat model that returns top log-probabilities in the OpenAI format, such as `ChatOpenAI`.
        name: What to call the reward.
        turn: Held around each call; for an embedded judge, its model's `turn`.
        retry: How long to go on asking when it does not answer. The chat model itself should not retry
            (`max_retries=0`).
    """

    def __init__(
        self,
        model: BaseChatModel,
        *,
        name: str = "judge",
        turn: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.name = name
        self._retrier = Retrier(retry)
        self._model = model.bind(logprobs=True, top_logprobs=10, max_tokens=1, temperature=0)
        self._turn = turn

    async def score(
        self, messages: Sequence[BaseMessage], steps: Sequence[Step], candidates: Sequence[Generation]
    ) -> list[Score]:
        """See `RewardModel.score`.

        Raises:
            RewardError: the answer holds no log-probability of Yes or No.
            ModelError: the judge's server could not answer. Chat models that do not use the `openai` client raise
                errors of their own.
        """
        problem = messages[-1].text
        return [
            await background.call(self._judge(question(problem, step_texts(steps, candidate))))
            for candidate in candidates
        ]

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
        try:
            async with self._turn():
                return await self._model.ainvoke([HumanMessage(asked)])
        except (openai.OpenAIError, ValueError, TypeError, LookupError) as error:  # ChatOpenAI trusts what it reads
            raise model_error(error, self.name) from error

    def _yes(self, metadata: dict[str, Any]) -> float:
        content = (metadata.get("logprobs") or {}).get("content") or [{}]
        mass = {"yes": 0.0, "no": 0.0}
        for token in content[0].get("top_logprobs") or ():
            word = token["token"].strip().lower()
            if word in mass:
                mass[word] += math.exp(token["logprob"])
        if not any(mass.values()):
            raise RewardError(
                f"{self.name}: neither Yes nor No is among the judge's likeliest first words; does the server return "
                "top log-probabilities, and does the model follow instructions?"
            )
        return mass["yes"] / (mass["yes"] + mass["no"])
