import asyncio
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from rsd_graph import Generation, RSDSettings, build_rsd_graph
from rsd_graph.errors import ModelUnreachableError
from rsd_graph.testing import ScriptedModel, ScriptedReward
from tests.graph.scripts import step, thread

STRICT, LENIENT = 0.75, 0.25
"""Thresholds on both sides of the reward, 0.5."""


def made_of(target: Any = None, **options: Any) -> tuple[Any, ScriptedModel]:
    """A graph whose draft writes `d1##d2` and whose target writes `t`, and the target."""
    draft = ScriptedModel(lambda _, response, __: step("d2", "eos") if response else step("d1"))
    target = target or ScriptedModel([step("t")])
    graph = build_rsd_graph(draft, target, ScriptedReward([0.5])).compile(checkpointer=InMemorySaver(), **options)
    return graph, target


def run_of(threshold: float) -> tuple[Any, ScriptedModel, Any]:
    """A finished run with this threshold, and its checkpoint after the first `score`."""
    graph, target = made_of()
    graph.invoke({"problem": "p"}, thread(), context={"threshold": threshold, "delimiter": "##", "max_steps": 2})
    scored = [each for each in graph.get_state_history(thread()) if each.values.get("reward") and each.next]
    target.calls.clear()
    return graph, target, [each for each in scored if not each.values["steps"] and each.next != ("score",)][-1]


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("threshold", "new", "node", "response", "calls"),
    [
        (STRICT, LENIENT, "target", "d1##d2", 0),
        (LENIENT, STRICT, "check", "t##t", 2),
        (STRICT, STRICT, "target", "t##t", 2),
        (LENIENT, LENIENT, "check", "d1##d2", 0),
    ],
)
def test_a_fork_with_another_threshold_decides_again(
    asynchronous: bool, threshold: float, new: float, node: str, response: str, calls: int
) -> None:
    """Through a context, through an edit of the settings, and through an edit of settings as the node `score`."""
    graph, target, scored = run_of(threshold)
    assert scored.next == (node,)
    edit = {"settings": {"threshold": new}}
    forks: list[tuple[Any, Any]] = [
        (scored.config, {"threshold": new}),
        (scored.config, RSDSettings(threshold=new)),
        (graph.update_state(scored.config, edit), None),
        (graph.update_state(scored.config, edit), {}),
        (graph.update_state(scored.config, edit, as_node="score"), None),
        (graph.update_state(scored.config, {"settings": RSDSettings(threshold=new)}, as_node="score"), None),
    ]
    for config, context in forks:
        target.calls.clear()
        if asynchronous:
            out = asyncio.run(graph.ainvoke(None, config, context=context))
        else:
            out = graph.invoke(None, config, context=context)
        assert (out["response"], len(target.calls)) == (response, calls)
        assert [each.reward for each in out["steps"]] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("threshold", "reward", "response"), [(STRICT, 0.8, "d1##t"), (LENIENT, 0.1, "t##d2"), (STRICT, 0.7, "t##t")]
)
def test_a_fork_with_another_reward_decides_again(threshold: float, reward: float, response: str) -> None:
    """As the node that gave it, or as LangGraph infers it."""
    graph, _, scored = run_of(threshold)
    for options in ({}, {"as_node": "score"}):
        fork = graph.update_state(scored.config, {"reward": reward}, **options)
        assert graph.invoke(None, fork)["response"] == response


def test_a_paused_run_decides_again_when_it_resumes() -> None:
    """The edge was drawn before the pause; what the caller passes afterwards counts."""
    graph, target = made_of(interrupt_after=["score"])
    graph.invoke({"problem": "p"}, thread(), context={"threshold": STRICT, "max_steps": 1})
    assert graph.get_state(thread()).next == ("target",)
    assert graph.invoke(None, thread(), context={"threshold": LENIENT})["response"] == "d1"
    assert target.calls == []


def test_a_run_whose_target_failed_decides_again() -> None:
    """A server that is gone is a reason to lower the threshold."""
    graph, _ = made_of(ScriptedModel([ModelUnreachableError("gone")]))
    with pytest.raises(ModelUnreachableError):
        graph.invoke({"problem": "p"}, thread(), context={"threshold": STRICT, "max_steps": 1})
    assert graph.invoke(None, thread(), context={"threshold": LENIENT})["response"] == "d1"


def test_a_rewritten_step_is_not_decided_again() -> None:
    """The draft's proposal is gone, and what the target wrote is kept."""
    graph, _, _ = run_of(STRICT)
    rewritten = next(
        each for each in graph.get_state_history(thread()) if each.next == ("check",) and not each.values["steps"]
    )
    assert rewritten.values["author"] == "target"
    assert graph.invoke(None, rewritten.config, context={"threshold": LENIENT})["response"] == "t##d2"


def test_every_weighting_decides_again_by_its_own_rule() -> None:
    """Another seed is another draw; the same seed repeats it."""
    graph, _, scored = run_of(STRICT)
    seen = {}
    for seed in range(12):
        fork: Any = {"weighting": "constant", "constant": 0.5, "seed": seed}
        first = graph.invoke(None, scored.config, context=fork)["steps"]
        assert graph.invoke(None, scored.config, context=fork)["steps"] == first
        seen[seed] = first[0].author
    assert set(seen.values()) == {"draft", "target"}


def test_events_of_a_fork_end_as_its_steps_do() -> None:
    """What was replaced and what was kept is told of the decision that counts."""
    graph, _, scored = run_of(LENIENT)
    context: Any = {"threshold": STRICT, "max_steps": 1}
    events: list[Any] = list(graph.stream(None, scored.config, context=context, stream_mode="custom"))
    assert [event["event"] for event in events] == ["replaced", "kept", "finished"]
    assert events[1] == {"event": "kept", "step": 0, "text": "t", "author": "target", "reward": 0.5}


def test_a_child_decides_again_too() -> None:
    """A parent that paused inside its child resumes it with another threshold."""

    class State(TypedDict, total=False):
        problem: str
        response: str

    draft, target = ScriptedModel([Generation("d", "eos")]), ScriptedModel([Generation("t", "eos")])
    child = build_rsd_graph(draft, target, ScriptedReward([0.5])).compile(interrupt_after=["score"])
    parent: Any = StateGraph(State)
    parent.add_node("solver", child)
    parent.add_edge(START, "solver")
    parent.add_edge("solver", END)
    compiled = parent.compile(checkpointer=InMemorySaver())
    compiled.invoke({"problem": "p"}, thread(), context={"rsd": {"threshold": STRICT}})
    assert compiled.invoke(None, thread(), context={"rsd": {"threshold": LENIENT}})["response"] == "d"
