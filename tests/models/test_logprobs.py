"""Numbers that cannot be log-probabilities, logits or probabilities never become a reward."""

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from rsd_graph import Generation, RSDSettings, Score
from rsd_graph.errors import ModelResponseError, RewardError
from rsd_graph.models.llamacpp import LlamaCpp
from rsd_graph.models.logprobs import checked_logprob
from rsd_graph.models.vllm import VLLM
from rsd_graph.protocols import Reading
from rsd_graph.rewards import process_reward
from rsd_graph.rewards.combined import CombinedReward, StepCalibration
from rsd_graph.rewards.confidence import ConfidenceReward
from rsd_graph.rewards.families import FAMILIES, score_last_step
from rsd_graph.rewards.judge import served_judge
from rsd_graph.rewards.prm import ProcessReward
from rsd_graph.testing import ScriptedReward
from tests.conftest import FakeServer

NONE = [math.nan, math.inf, -math.inf, 0.5, 2e-5, None, "x", [1]]


@pytest.mark.parametrize("value", NONE)
def test_what_is_no_logprob_is_refused(value: Any) -> None:
    """The message names the model and the value."""
    with pytest.raises(RewardError, match=r"^qwen gave the log-probability .*finite number of at most 0$") as caught:
        checked_logprob(value, "qwen", RewardError)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(("value", "logprob"), [(0, 0.0), (-1.5, -1.5), (1e-6, 0.0), (-0.0, 0.0), (-9999.0, -9999.0)])
def test_rounding_above_zero_is_zero(value: float, logprob: float) -> None:
    """Servers compute in half precision; a probability of 1 may come out a little above it."""
    assert checked_logprob(value, "qwen", RewardError) == logprob


def score(reward: Any, candidate: Generation | None = None) -> float:
    async def run() -> float:
        (verdict,) = await reward.score(
            [HumanMessage("?")], [], [candidate or Generation("4", "eos", logprobs=(-1.0,))]
        )
        return float(verdict.reward)

    return asyncio.run(run())


@pytest.mark.parametrize("bad", [math.nan, None, 0.5, -math.inf])
def test_the_confidence_reward_refuses_them(bad: Any) -> None:
    """Wherever they stand in the step; none is left out."""
    for logprobs in ((bad, -0.1), (-0.1, bad), (bad, bad, -0.1)):
        candidate = Generation("4", "eos", logprobs=logprobs)
        with pytest.raises(RewardError, match="draft gave the log-probability"):
            score(ConfidenceReward(), candidate)
        with pytest.raises(RewardError, match="draft gave the log-probability"):
            score(CombinedReward(ScriptedReward([0.5]), StepCalibration(intercept=0, value=1, surprisal=1)), candidate)


@pytest.mark.parametrize("bad", [math.nan, None, 0.5])
def test_servers_that_report_them_are_named(server: FakeServer, bad: Any) -> None:
    """No token is left out: a step with fewer log-probabilities than tokens looks more certain than it is."""
    server.answer("/v1/models", {"data": [{"id": "qwen"}]})
    server.answer("/tokenize", {"tokens": [1]})
    server.answer("/apply-template", {"prompt": "p"})
    choice = {"text": "x", "finish_reason": "length", "logprobs": {"token_logprobs": [bad, bad, -0.1]}}
    server.answer("/v1/completions", {"choices": [choice]})
    probabilities = [{"logprob": bad}, {"logprob": -0.1}]
    server.answer("/completion", {"content": "x", "stop_type": "eos", "completion_probabilities": probabilities})

    async def ask(model: VLLM | LlamaCpp) -> None:
        try:
            await model.generate([HumanMessage("?")], "", settings=RSDSettings())
        finally:
            await model.aclose()

    for model in (VLLM(server.url), LlamaCpp(server.url, name="qwen")):
        with pytest.raises(ModelResponseError, match=f"^qwen gave the log-probability {str(bad).lower()[:1]}?"):
            asyncio.run(ask(model))


class Backend:
    """A scoring backend that reads what it was given."""

    name = "prm"

    def __init__(self, *values: float) -> None:
        self.values = values

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...

    async def encode(self, text: str, *, special_tokens: bool = False) -> list[int]:  # noqa: ARG002
        return [7, 8] if text == "+ -" else [7]

    async def chat(self, turns: Any, *, generation_prompt: bool) -> list[int]:  # noqa: ARG002
        return [7]

    async def head(self, tokens: Sequence[int]) -> Reading:  # noqa: ARG002
        return Reading(self.values)

    async def label_logprobs(self, tokens: Sequence[int], labels: Sequence[int]) -> Reading:  # noqa: ARG002
        return Reading(self.values)


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_every_family_refuses_them(kind: str, bad: float) -> None:
    """A sigmoid would make 0 or 1 of an infinity; the family need not know."""
    for values in ((bad,), (bad, -1.0), (-1.0, bad)):
        if len(values) == 1 and kind != "skywork":
            continue
        with pytest.raises(RewardError, match=rf"^prm gave the log.* {bad!r}, expected a finite number"):
            score(ProcessReward(score_last_step(kind), Backend(*values)))
    assert (
        0 < score(ProcessReward(score_last_step(kind), Backend(*((-1.0,) if kind == "skywork" else (-1.0, -2.0))))) < 1
    )


def test_a_served_reward_of_infinity_is_refused(server: FakeServer) -> None:
    """JSON has no infinity, but Python's reader takes it."""
    server.answer("/v1/models", {"data": [{"id": "Skywork/Skywork-o1-Open-PRM-Qwen-2.5-7B"}]})
    server.answer("/tokenize", {"tokens": [7]})
    server.answer("/classify", {"data": [{"probs": [math.inf]}], "usage": {}})
    reward = process_reward(server.url)
    with pytest.raises(RewardError, match=r"Skywork.* gave the logit inf"):
        score(reward)
    asyncio.run(reward.aclose())


@pytest.mark.parametrize("bad", [math.nan, 1.5, -0.1, math.inf])
def test_a_combined_reward_does_not_hide_a_wrong_one(bad: float) -> None:
    """Clipping would make a reward of it."""

    class Wrong(ScriptedReward):
        async def score(self, *_: Any) -> list[Score]:
            return [Score(bad)]

    with pytest.raises(RewardError, match=r"gave the reward .*, expected a number in \[0, 1\]"):
        score(CombinedReward(Wrong([0.5]), StepCalibration(intercept=0, value=1, surprisal=1)))


@pytest.mark.parametrize("bad", [math.nan, None, 0.5, math.inf])
def test_a_judge_refuses_them(server: FakeServer, bad: Any) -> None:
    """Of either word; what other words have does not matter."""
    top = [{"token": "Yes", "logprob": -0.1}, {"token": "No", "logprob": bad}]
    server.answer(
        "/v1/chat/completions", {"choices": [{"message": {}, "logprobs": {"content": [{"top_logprobs": top}]}}]}
    )
    judge = served_judge(server.url, model="m")
    with pytest.raises(RewardError, match=r"^judge gave the log-probability"):
        score(judge)
    asyncio.run(judge.aclose())
