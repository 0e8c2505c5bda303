import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rsd_graph import Generation, RewardModel, RSDSettings, StepGenerator, create_rsd_graph
from rsd_graph.latency import faster
from tests.graph.test_golden_traces import GOLDEN
from tests.latency.slow import SlowModel, SlowReward, said

Wrap = Callable[[StepGenerator, StepGenerator, RewardModel], tuple[StepGenerator, StepGenerator, RewardModel]]

PLAIN: dict[str, Any] = {"ahead": False}
EACH: dict[str, dict[str, Any]] = {
    "none": PLAIN,
    "ahead": {},
    "warm": {"ahead": False, "warm": True},
    "gate": {"ahead": False, "gate": 1.0},  # no step is that certain: all are scored
    "hedge": {"ahead": False, "hedge": 0.7},
    "hedge always": {"ahead": False, "hedge": 1.0},
    "all": {"ahead": True, "warm": True, "gate": 1.0, "hedge": 0.7},
    "all, hedge always": {"ahead": True, "warm": True, "gate": 1.0, "hedge": 1.0},
}


@pytest.mark.skipif(not GOLDEN.exists(), reason="the golden traces are not part of the repository")
@pytest.mark.parametrize(
    ("wrappers", "asynchronous"), [*((name, True) for name in EACH), ("ahead", False), ("all", False)]
)
def test_the_authors_decisions_are_reproduced(wrappers: str, asynchronous: bool) -> None:
    """Response, authors and rewards of the golden traces, with each wrapper and with all, on models that overlap."""
    problems = 0
    for number, scenario in enumerate(json.loads(GOLDEN.read_text())):
        context = {name: scenario[name] for name in ("threshold", "max_steps", "max_tokens", "delimiter")}
        for problem in scenario["problems"]:
            draft, target = (
                SlowModel(scripted(problem["models"], role), turns=number % turns)
                for role, turns in (("draft", 7), ("target", 5))
            )
            graph = create_rsd_graph(
                *faster(draft, target, SlowReward(problem["rewards"], number % 9), **EACH[wrappers])
            )
            question: Any = {"problem": problem["problem"]}
            if asynchronous:
                out = asyncio.run(graph.ainvoke(question, context=context))
            else:
                out = graph.invoke(question, context=context)
            assert out["response"] == problem["response"]
            assert [each.author for each in out["steps"]] == problem["authors"]
            assert [each.reward for each in out["steps"]] == problem["rewards"]
            assert draft.running + target.running == 0
            problems += 1
    assert problems == 118


def scripted(models: dict[str, Any], role: str) -> Callable[[str, RSDSettings], Generation]:
    def say(response: str, _: RSDSettings) -> Generation:
        text, stop = models[response][role].values()  # a KeyError where the plain run never came
        surprisal = float(len(text) % 4)
        return Generation(text, "delimiter" if stop else "eos", logprobs=(-surprisal,))

    return say


@hypothesis_settings(max_examples=60)
@given(
    rewards=st.lists(st.floats(0, 1), min_size=1, max_size=8),
    turns=st.tuples(*[st.integers(0, 8)] * 3),
    wrappers=st.sampled_from(list(EACH.values())),
    context=st.fixed_dictionaries(
        {
            "weighting": st.sampled_from(["step", "constant", "clipping", "sigmoidal", "logistic"]),
            "seed": st.integers(0, 1000),
            "max_tokens": st.integers(1, 40),
            "max_step_tokens": st.integers(1, 6),
            "max_steps": st.integers(1, 8),
        }
    ),
)
def test_a_run_is_the_plain_run(
    rewards: list[float], turns: tuple[int, int, int], wrappers: dict[str, Any], context: dict[str, Any]
) -> None:
    """Steps and end are the same whatever is faster, also where the text depends on the seed and limit of each call."""

    def run(given: dict[str, Any]) -> Any:
        draft, target = SlowModel(by_call("d"), turns[0]), SlowModel(by_call("t"), turns[1])
        graph = create_rsd_graph(*faster(draft, target, SlowReward(rewards, turns[2]), **given))
        out = asyncio.run(graph.ainvoke({"problem": "p"}, context=context))
        assert draft.running + target.running == 0
        return {key: out[key] for key in ("steps", "response", "stop", "answer")}, out["usage"]

    wrapped, usage = run(wrappers)
    plain, plain_usage = run(PLAIN)
    assert wrapped == plain
    assert usage.reward == plain_usage.reward
    assert usage.response == plain_usage.response
    assert usage.draft.completion - plain_usage.draft.completion >= 0
    more = sum(getattr(usage, role).completion - getattr(plain_usage, role).completion for role in ("draft", "target"))
    assert usage.discarded - plain_usage.discarded == more


def by_call(author: str) -> Callable[[str, RSDSettings], Generation]:
    """Text that depends on everything a call passes; now and then blank, cut or at its end."""

    def say(response: str, settings: RSDSettings) -> Generation:
        number = settings.seed % 11
        tokens = min(settings.max_step_tokens, 1 + number % 5)
        finish = "eos" if number == 10 else "length" if tokens == settings.max_step_tokens else "delimiter"
        text = " " if number == 3 else f"{author}{len(response)}/{settings.seed}/{settings.max_step_tokens}"
        return said(text, finish, tokens, surprisal=float(number % 4))

    return say
