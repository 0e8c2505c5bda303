import asyncio
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from rsd_graph import Generation, Step, TokenUsage
from rsd_graph.errors import RewardError
from rsd_graph.protocols import Reading, Turn
from rsd_graph.rewards.families import FAMILIES, recognize
from rsd_graph.rewards.families.judge import judge
from rsd_graph.rewards.families.math_shepherd import math_shepherd
from rsd_graph.rewards.families.outcome import outcome
from rsd_graph.rewards.families.qwen_prm import SYSTEM_PROMPT, qwen_prm
from rsd_graph.rewards.families.rlhflow import rlhflow
from rsd_graph.rewards.families.skywork import skywork
from rsd_graph.rewards.family import ScoreLastStep
from rsd_graph.rewards.prm import ProcessReward, step_texts

USAGE = TokenUsage(prompt=9)


class Characters:
    """A backend whose tokens are characters; known markers are one token, below 0."""

    name = "characters"

    def __init__(self, *values: float, markers: Sequence[str] = ("<extra_0>", "<|endoftext|>")) -> None:
        self.values = values
        self.markers = list(markers)
        self.prompt = ""
        self.asked_labels: list[str] = []

    async def encode(self, text: str, *, special_tokens: bool = False) -> list[int]:
        tokens = [ord("^")] if special_tokens else []
        while text:
            marker = next((each for each in self.markers if text.startswith(each)), None)
            tokens.append(-1 - self.markers.index(marker) if marker else ord(text[0]))
            text = text[len(marker or "x") :]
        return tokens

    async def chat(self, turns: Sequence[Turn], *, generation_prompt: bool) -> list[int]:
        text = "".join(f"[{turn['role']}]{turn['content']}[end]" for turn in turns)
        return await self.encode(text + "[assistant]" * generation_prompt)

    async def head(self, tokens: Sequence[int]) -> Reading:
        self.prompt = self.decode(tokens)
        return Reading(self.values, USAGE)

    async def labels(self, tokens: Sequence[int], labels: Sequence[int]) -> Reading:
        self.prompt = self.decode(tokens)
        self.asked_labels = [self.decode([label]) for label in labels]
        return Reading(self.values, USAGE)

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(chr(token) if token >= 0 else self.markers[-1 - token] for token in tokens)


def score(score_last_step: ScoreLastStep, backend: Any, *steps: str) -> float:
    scored = asyncio.run(score_last_step(backend, "2+2?", steps))
    assert scored.usage == USAGE
    return scored.reward


def test_skywork_reads_the_sigmoid_after_each_steps_end() -> None:
    """The problem and a line break, then each step and one token for its end: the delimiter's last."""
    backend = Characters(math.log(3))
    assert score(skywork, backend, "one", "", "two") == pytest.approx(0.75)
    assert backend.prompt == "<|endoftext|>2+2?\none\n\ntwo\n"


def test_qwens_reward_is_the_second_of_two_labels_at_the_last_marker() -> None:
    """What closes the turn after it is left out."""
    backend = Characters(0.0, math.log(3))
    assert score(qwen_prm, backend, "one", "two <extra_0> x") == pytest.approx(0.75)
    assert backend.prompt == (
        f"[system]{SYSTEM_PROMPT}[end][user]2+2?[end][assistant]one<extra_0>two <extra_0> x<extra_0>"
    )


def test_math_shepherd_asks_for_plus_or_minus_after_the_tag() -> None:
    """One line a step, each with its number once."""
    backend = Characters(math.log(0.6), math.log(0.2), markers=["ки"])
    with pytest.raises(RewardError, match="no Math-Shepherd"):  # `+ -` are three characters
        score(math_shepherd, backend, "one")
    backend.markers += ["+", " -"]
    assert score(math_shepherd, backend, "one", "Step 2: two") == pytest.approx(0.75)
    assert backend.prompt == "^2+2? Step 1: one ки\nStep 2: two ки"
    assert backend.asked_labels == ["+", " -"]


def test_rlhflow_takes_each_step_as_a_turn() -> None:
    """Earlier ones were answered with a plus; the next answer's first token is read."""
    backend = Characters(math.log(0.3), math.log(0.1))
    assert score(rlhflow, backend, "one", "two") == pytest.approx(0.75)
    assert backend.prompt == "[user]2+2? one[end][assistant]+[end][user]two[end][assistant]"
    assert backend.asked_labels == ["+", "-"]


def test_an_outcome_model_maps_its_number_into_the_range() -> None:
    """One label by a logistic curve, two by their softmax; three are none of ours."""
    backend = Characters(3.0)
    shifted = partial(outcome, centre=1.0, scale=2.0)
    assert score(shifted, backend, "one", "two") == pytest.approx(1 / (1 + math.exp(-1)))
    assert backend.prompt == "[user]2+2?[end][assistant]one\n\ntwo[end]"
    assert score(outcome, Characters(0.0, math.log(3)), "one") == pytest.approx(0.75)
    with pytest.raises(RewardError, match="3 labels"):
        score(outcome, Characters(1.0, 2.0, 3.0), "one")


def test_the_judge_is_asked_for_yes_or_no() -> None:
    """The same question as a chat model gets, and the two words' own tokens."""
    backend = Characters(math.log(0.3), math.log(0.1), markers=["Yes", "No"])
    assert score(judge, backend, "one", "two") == pytest.approx(0.75)
    assert "Steps so far:\none\n\nNewest step:\ntwo\n" in backend.prompt
    assert backend.prompt.endswith("[end][assistant]")
    assert backend.asked_labels == ["Yes", "No"]


def test_a_model_that_lacks_the_marker_is_refused() -> None:
    """Another model's tokenizer would split it, and the reward would mean nothing."""
    with pytest.raises(RewardError, match="no Qwen2"):
        score(qwen_prm, Characters(0.0, 0.0, markers=[]), "one")


def test_a_head_of_another_model_is_refused() -> None:
    """It has more labels, or fewer."""
    with pytest.raises(RewardError, match="1 labels"):
        score(qwen_prm, Characters(0.0), "one")
    with pytest.raises(RewardError, match="2 labels"):
        score(skywork, Characters(0.0, 0.0), "one")


def test_a_step_that_was_cut_goes_on_in_the_next() -> None:
    """A reward model sees whole steps."""
    steps = [Step("a", "draft"), Step("b", "target", finish="length"), Step("c", "draft", finish="length")]
    assert step_texts(steps, Generation("d", "eos")) == ["a", "bcd"]
    assert step_texts(steps[:1], Generation("d", "length")) == ["a", "d"]


def test_a_process_reward_scores_each_candidate() -> None:
    """As the step after those that are kept."""
    backend = Characters(0.0)
    candidates = [Generation("x", "delimiter"), Generation("y", "eos")]
    scores = asyncio.run(ProcessReward(skywork, backend).score([HumanMessage("p")], [Step("a", "draft")], candidates))
    assert [each.reward for each in scores] == [0.5, 0.5]
    assert backend.prompt.startswith("<|endoftext|>p\na\n")


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("Skywork/Skywork-o1-Open-PRM-Qwen-2.5-7B", "skywork"),
        ("/models/skywork-o1-open-prm-qwen-2.5-1.5b", "skywork"),
        ("Qwen/Qwen2.5-Math-PRM-72B", "qwen-prm"),
        ("Qwen/Qwen2.5-Math-7B-PRM800K", "qwen-prm"),
        ("peiyi9979/math-shepherd-mistral-7b-prm", "math-shepherd"),
        ("RLHFlow/Llama3.1-8B-PRM-Deepseek-Data", "rlhflow"),
        ("Qwen/Qwen2.5-72B-Instruct", None),
        ("Qwen/Qwen2.5-Math-RM-72B", None),
    ],
)
def test_known_models_are_recognized_by_name(model: str, kind: str | None) -> None:
    """As they are called on the hub, or in a folder."""
    assert recognize(model) == kind
    assert kind is None or kind in FAMILIES
