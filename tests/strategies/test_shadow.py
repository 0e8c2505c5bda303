import asyncio

import pytest

from rsd_graph import Generation, RSDSettings, TokenUsage
from rsd_graph.errors import ConfigurationError, ContextOverflowError
from rsd_graph.strategies.outcome import Models
from rsd_graph.strategies.rsd import rsd
from rsd_graph.strategies.shadow import shadow_rewards
from rsd_graph.testing import ScriptedModel, ScriptedReward


def step(text: str, *, last: bool = False) -> Generation:
    return Generation(text, "eos" if last else "delimiter", TokenUsage(9, 0, 3))


class TextReward(ScriptedReward):
    """A reward that reads the text alone."""

    needs_logprobs = False


REWARDS = {"d1": 0.1, "t1": 0.6, "d2": 0.3, "t2": 0.2, "d3": 0.9}


def models(reward: ScriptedReward) -> Models:
    draft = ScriptedModel([step("d1"), step("d2"), step("d3", last=True)])
    return Models(draft, ScriptedModel([step("t1"), step("t2")]), reward)


def test_the_target_is_scored_beside_what_it_replaced() -> None:
    """Its second step is no better than the draft's. Nothing else in the run changes, nor does its usage."""
    reward = TextReward(lambda _, candidate: REWARDS[candidate.text])
    shadowed = asyncio.run(rsd(shadow=True)(models(reward), "?", RSDSettings()))
    plain = asyncio.run(rsd()(models(reward), "?", RSDSettings()))
    assert shadowed.shadow == {0: 0.6, 1: 0.2}
    assert plain.shadow == {}
    assert [(each.author, each.reward) for each in shadowed.steps] == [("target", 0.1), ("target", 0.3), ("draft", 0.9)]
    assert (shadowed.steps, shadowed.usage) == (plain.steps, plain.usage)


def test_a_reward_of_the_drafts_log_probabilities_is_refused() -> None:
    """Before anything runs."""
    reward = ScriptedReward([0.9])
    given = models(reward)
    with pytest.raises(ConfigurationError, match="shadow: the reward scripted reads the draft's log-probabilities"):
        asyncio.run(rsd(shadow=True)(given, "?", RSDSettings()))
    assert not given.draft.calls  # type: ignore[attr-defined]


def test_steps_beyond_the_rewards_context_are_left_out() -> None:
    reward = TextReward([0.6, ContextOverflowError("full")])
    outcome = asyncio.run(rsd()(models(TextReward(lambda _, candidate: REWARDS[candidate.text])), "?", RSDSettings()))
    assert asyncio.run(shadow_rewards(reward, [], outcome.steps)) == {0: 0.6}
