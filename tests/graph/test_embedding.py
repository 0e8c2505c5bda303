import asyncio
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from rsd_graph import RSDSettings, create_rsd_graph
from rsd_graph.testing import ScriptedModel, ScriptedReward
from tests.graph.scripts import KEEP, LONG, step


class ParentState(TypedDict):
    problem: str
    response: str
    answer: str | None


def parent_of(child: Any, context_schema: Any = None) -> Any:
    parent = StateGraph(ParentState, context_schema)
    parent.add_node("solver", child)
    parent.add_edge(START, "solver")
    parent.add_edge("solver", END)
    return parent.compile()


def test_a_subgraph_shares_state_and_events_with_its_parent() -> None:
    """The parent gives the problem and gets the answer; its small recursion limit is its own."""
    draft = ScriptedModel([step("a")] * LONG + [step(r"\boxed{1}", "eos")])
    parent = parent_of(create_rsd_graph(draft, draft, ScriptedReward([KEEP])))
    chunks = list(
        parent.stream({"problem": "p"}, {"recursion_limit": 5}, stream_mode=["custom", "values"], subgraphs=True)
    )
    assert chunks[-1][2]["answer"] == "1"
    assert sum(chunk[1] == "custom" for chunk in chunks) == 3 * (LONG + 1) + 1
    assert asyncio.run(parent.ainvoke({"problem": "p"}, {"recursion_limit": 5}))["answer"] == "1"


@pytest.mark.parametrize(
    ("context", "steps"),
    [
        (None, 4),
        ({"max_steps": 2}, 4),
        ({"user": "ada"}, 4),
        (RSDSettings(max_steps=3), 4),
        ({"rsd": {"max_steps": 2}}, 2),
    ],
)
def test_a_parents_context_counts_under_one_key(context: Any, steps: int) -> None:
    """A parent's own context leaves the child with the settings it was made with, also where it holds settings."""
    model = ScriptedModel([step("a")])
    child = create_rsd_graph(model, model, ScriptedReward([KEEP]), settings=RSDSettings(max_steps=4))
    draft_steps = parent_of(child).invoke({"problem": "p"}, context=context)["response"].split("\n\n")
    assert len(draft_steps) == steps


def test_two_children_have_settings_of_their_own() -> None:
    """One parent may hold a careful and a quick solver; neither sees the other's settings or steps."""
    model = ScriptedModel([step("a")])

    def child(steps: int) -> Any:
        return create_rsd_graph(model, model, ScriptedReward([KEEP]), settings=RSDSettings(max_steps=steps))

    parent: Any = StateGraph(ParentState)
    parent.add_node("quick", child(2))
    parent.add_node("careful", child(5))
    parent.add_edge(START, "quick")
    parent.add_edge("quick", "careful")
    parent.add_edge("careful", END)
    lengths = [
        len(update["response"].split("\n\n"))
        for chunk in parent.compile().stream({"problem": "p"}, stream_mode="updates")
        for update in chunk.values()
    ]
    assert lengths == [2, 5]


def test_a_child_uses_its_parents_checkpointer() -> None:
    """A second problem on the parent's thread starts afresh in the child."""
    draft = ScriptedModel(
        lambda messages, response, _: step(f"{messages[-1].text}{len(response)}", "eos" if response else "delimiter")
    )
    parent: Any = StateGraph(ParentState)
    parent.add_node("solver", create_rsd_graph(draft, draft, ScriptedReward([KEEP])))
    parent.add_edge(START, "solver")
    parent.add_edge("solver", END)
    compiled = parent.compile(checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "1"}}
    assert compiled.invoke({"problem": "a"}, thread)["response"] == "a0\n\na4"
    assert compiled.invoke({"problem": "b"}, thread)["response"] == "b0\n\nb4"
