import asyncio
from collections.abc import Sequence

import pytest
from langchain_core.messages import BaseMessage, HumanMessage

from rsd_graph import Generation, RSDSettings, Score, Step
from rsd_graph.errors import ModelTimeoutError, RewardError
from rsd_graph.testing import ScriptedModel, ScriptedReward

A, B = Generation("a", "delimiter"), Generation("b", "eos")
SETTINGS = RSDSettings()


def generate(model: ScriptedModel, response: str = "", n: int = 1) -> list[Generation]:
    return asyncio.run(model.generate([HumanMessage("p")], response, settings=SETTINGS, n=n))


def score(reward: ScriptedReward, *candidates: Generation, steps: Sequence[Step] = ()) -> list[float]:
    scores = asyncio.run(reward.score([HumanMessage("p")], steps, candidates))
    assert all(isinstance(each, Score) for each in scores)
    return [each.reward for each in scores]


def test_a_sequence_is_said_in_order_and_its_last_forever() -> None:
    """A short script serves a run of any length."""
    model = ScriptedModel([A, B])
    assert [generate(model) for _ in range(4)] == [[A], [B], [B], [B]]


def test_a_sequence_gives_each_candidate_its_own() -> None:
    """`n` candidates are the next `n` of the script."""
    assert generate(ScriptedModel([A, B, A]), n=3) == [A, B, A]


def test_a_mapping_answers_by_the_response() -> None:
    """Whatever the order of the calls; a response that the script lacks is an error of the test, not a step."""
    model = ScriptedModel({"": A, "a\n\n": B})
    assert (generate(model, "a\n\n"), generate(model)) == ([B], [A])
    with pytest.raises(KeyError):
        generate(model, "elsewhere")


def test_a_function_sees_the_whole_call() -> None:
    """Messages, response and settings."""

    def say(messages: Sequence[BaseMessage], response: str, settings: RSDSettings) -> Generation:
        return Generation(f"{messages[-1].text}/{response}/{settings.threshold}", "eos")

    assert generate(ScriptedModel(say), "r")[0].text == "p/r/0.7"


def test_an_exception_is_raised_at_its_place() -> None:
    """The steps before it and after it are said as usual."""
    model = ScriptedModel([A, ModelTimeoutError("slow"), B])
    assert generate(model) == [A]
    with pytest.raises(ModelTimeoutError, match="slow"):
        generate(model)
    assert generate(model) == [B]


def test_calls_are_recorded_as_they_were() -> None:
    """The list of messages is copied, so that what a caller does to its own changes no record."""
    model = ScriptedModel([A], name="draft")
    messages: list[BaseMessage] = [HumanMessage("p")]
    asyncio.run(model.generate(messages, "so far", settings=SETTINGS))
    messages.clear()
    assert (model.name, model.calls) == ("draft", [([HumanMessage("p")], "so far", SETTINGS)])


def test_rewards_are_given_in_order_and_the_last_forever() -> None:
    """One for each candidate, across calls; any iterable will do."""
    reward = ScriptedReward(iter([0.1, 0.2, 0.3]))
    assert (score(reward, A, B), score(reward, A), score(reward, A)) == ([0.1, 0.2], [0.3], [0.3])


def test_a_function_of_steps_and_candidate_is_a_reward() -> None:
    """It sees the kept steps and the candidate it judges."""
    reward = ScriptedReward(lambda steps, candidate: len(steps) / 10 + (candidate.text == "b") / 2)
    assert score(reward, A, B, steps=[Step("s", "draft")]) == [0.1, 0.6]


def test_an_exception_among_the_rewards_is_raised_at_its_place() -> None:
    """As with a model that fails once."""
    reward = ScriptedReward([0.5, RewardError("none"), 0.6])
    assert score(reward, A) == [0.5]
    with pytest.raises(RewardError, match="none"):
        score(reward, A)
    assert score(reward, A) == [0.6]
