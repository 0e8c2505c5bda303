"""A chat model as the judge: the reward is the normalised probability of Yes.

Measured on the embedded pair, small models are no better than chance at this (README, "Rewards"); a capable judge on a
server is what it is for.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import openai
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage

from rsd_graph import background
from rsd_graph.errors import RewardError
from rsd_graph.models.server import model_error
from rsd_graph.state import Generation, Score, Step, TokenUsage, join_steps

QUESTION = """\
Here is a problem, and the beginning of a solution.

Problem:
{problem}

Steps so far:
{steps}

Newest step:
{candidate}

Is the newest step correct, given the problem and the steps before it? Answer with one word, Yes or No."""


class JudgeReward:
    """Asks a LangChain chat model whether the newest step is right.

    Args:
        model: Any chat model that returns top log-probabilities in the OpenAI format, such as `ChatOpenAI`.
        name: What to call the reward.
        turn: Held around each call; for an embedded judge, its model's `turn`.
    """

    def __init__(
        self,
        model: BaseChatModel,
        *,
        name: str = "judge",
        turn: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
    ) -> None:
        self.name = name
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
        return [await background.call(self._judge(messages, steps, candidate)) for candidate in candidates]

    async def _judge(self, messages: Sequence[BaseMessage], steps: Sequence[Step], candidate: Generation) -> Score:
        question = QUESTION.format(
            problem=messages[-1].text,
            steps=join_steps(steps, "\n\n") or "(none)",
            candidate=candidate.text,
        )
        try:
            async with self._turn():
                answer = await self._model.ainvoke([HumanMessage(question)])
        except (openai.OpenAIError, ValueError, TypeError, LookupError) as error:  # ChatOpenAI trusts what it reads
            raise model_error(error, self.name) from error
        tokens: dict[str, Any] = {**(answer.usage_metadata or {})}
        return Score(
            reward=self._yes(answer.response_metadata),
            usage=TokenUsage(
                prompt=tokens.get("input_tokens", 0),
                cached=tokens.get("input_token_details", {}).get("cache_read", 0) or 0,
                completion=tokens.get("output_tokens", 0),
            ),
        )

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
