import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import ValidationError

from rsd_graph import Generation, RSDSettings, create_rsd_graph
from rsd_graph.budget import GAIN, in_force
from rsd_graph.decision import suffices
from rsd_graph.state import Step, TokenUsage
from rsd_graph.testing import ScriptedModel, ScriptedReward

PROPOSAL = Generation("step", "delimiter", TokenUsage(1, 0, 1))


def decided(rewards: list[float], settings: RSDSettings) -> list[Step]:
    """The steps of a run whose proposals have these rewards."""
    steps: list[Step] = []
    for reward in rewards:
        kept = suffices(PROPOSAL, reward, settings, steps)
        steps.append(Step("step", "draft" if kept else "target", reward))
    return steps


@given(
    rewards=st.lists(st.floats(0, 1), min_size=1, max_size=80),
    budget=st.floats(0, 1),
    threshold=st.floats(0, 1),
)
def test_the_budget_is_kept_whatever_the_rewards_are(rewards: list[float], budget: float, threshold: float) -> None:
    """As close as the docstring says, after every step: even where all rewards are the same, or come to deceive."""
    steps = decided(rewards, RSDSettings(threshold=threshold, budget=budget))
    for n in range(1, len(steps) + 1):
        share = sum(step.author == "target" for step in steps[:n]) / n
        assert abs(share - budget) <= (1 + GAIN) / (GAIN * n) + 1e-9


def test_the_threshold_moves_by_the_distance_from_the_budget() -> None:
    """Up where the draft wrote, down where the target did; the output of code is no step of either."""
    settings = RSDSettings(threshold=0.5, budget=0.3)
    steps = [Step("a", "draft", 0.9), Step("b", "tool"), Step("c", "target", 0.1)]
    assert in_force(settings, []).threshold == 0.5
    assert in_force(settings, steps[:2]).threshold == pytest.approx(0.5 + GAIN * 0.3)
    assert in_force(settings, steps).threshold == pytest.approx(0.5 + GAIN * (0.3 - 0.7))
    assert in_force(RSDSettings(), steps) == RSDSettings()


def test_a_budget_needs_a_threshold() -> None:
    with pytest.raises(ValidationError, match="`budget` moves the threshold, which `logistic`"):
        RSDSettings(budget=0.3, weighting="logistic")


def model(steps: int, name: str) -> ScriptedModel:
    def write(_: object, response: str, __: object) -> Generation:
        last = response.count("\n\n") == steps - 1
        return Generation(f"{name} {response.count(chr(10))}", "eos" if last else "delimiter", TokenUsage(9, 0, 3))

    return ScriptedModel(write, name)


def test_a_run_keeps_its_budget_and_tells_its_threshold() -> None:
    """Where every reward is the same, no fixed threshold could; and a fork decides as the run did."""
    graph = create_rsd_graph(
        model(40, "d"), model(40, "t"), ScriptedReward(lambda *_: 0.8), checkpointer=InMemorySaver()
    )
    thread: RunnableConfig = {"configurable": {"thread_id": "1"}}
    chunks: list[Any] = list(
        graph.stream({"problem": "?"}, thread, context={"budget": 0.25}, stream_mode=["updates", "values"])
    )
    authors = [step.author for step in chunks[-1][1]["steps"]]
    assert authors.count("target") == pytest.approx(10, abs=2)
    told = [chunk["score"]["decision"]["threshold"] for mode, chunk in chunks if mode == "updates" and "score" in chunk]
    assert told[:3] == [0.7, 0.7 + GAIN * 0.25, 0.7 + GAIN * 0.5]
    assert max(told) > 0.8 > min(told)
    history = graph.get_state_history(thread)
    middle = next(state for state in history if len(state.values["steps"]) == 20 and state.next == ("draft",))
    again = asyncio.run(graph.ainvoke(None, middle.config))
    assert [step.author for step in again["steps"]] == authors
