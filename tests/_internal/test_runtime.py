import asyncio
import threading
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START
from langgraph.types import Command

from rsd_graph import RSDSettings, Step
from rsd_graph._internal.runtime import RECURSION_LIMIT, Node, Router, RSDGraph, RSDStateGraph, Update
from rsd_graph.errors import ModelError
from rsd_graph.settings import MAX_STEPS_LIMIT
from rsd_graph.state import RSDState, no_steps

SEEN: list[tuple[RSDSettings, str]] = []


async def look(state: RSDState, settings: RSDSettings) -> Update:  # noqa: ARG001  # a node takes both
    SEEN.append((settings, threading.current_thread().name))
    return {"problem": "seen"}


def one_node(node: Any = look, defaults: RSDSettings | None = None, *, takes_input: bool = False) -> RSDGraph:
    SEEN.clear()
    graph = RSDStateGraph(RSDState, RSDSettings, defaults=defaults)
    graph.add_node("only", Node(node, takes_input=takes_input))
    graph.add_edge(START, "only")
    graph.add_edge("only", END)
    return graph.compile(checkpointer=InMemorySaver())


THREAD: Any = {"configurable": {"thread_id": "1"}}
RUN: Any = {**no_steps(), "conversation": [HumanMessage("2+2?")], "proposal": None, "reward": None}
"""What the state of a run holds."""


@pytest.mark.parametrize(
    ("context", "threshold"),
    [
        (None, 0.25),
        (RSDSettings(threshold=0.5), 0.5),
        ({"threshold": 0.5}, 0.5),
    ],
)
def test_settings_come_from_the_context_or_from_the_graph(context: Any, threshold: float) -> None:
    """A new problem without a context takes the graph's own."""
    graph = one_node(defaults=RSDSettings(threshold=0.25))
    graph.invoke({"problem": "2+2?"}, THREAD, context=context)
    assert SEEN[0][0].threshold == threshold


def test_a_resumed_run_keeps_its_settings() -> None:
    """Where there is no new problem, those in the state count before the graph's own."""
    graph = one_node()
    graph.invoke(Command(update={**RUN, "settings": RSDSettings(threshold=0.5)}, goto="only"), THREAD)
    assert SEEN[0][0] == RSDSettings(threshold=0.5)


def test_a_node_works_on_the_callers_loop_or_on_the_background_loop() -> None:
    """`ainvoke` needs no other thread; `invoke`, which has no loop, uses the one in the background."""
    graph = one_node()
    graph.invoke({"problem": "2+2?"}, THREAD)
    asyncio.run(graph.ainvoke({"problem": "2+2?"}, THREAD))
    assert [thread for _, thread in SEEN] == ["rsd-graph", "MainThread"]


def test_the_settings_are_in_the_state_before_the_first_node() -> None:
    """So that a run whose first node fails keeps them; no node writes them again."""

    async def fail(state: RSDState, settings: RSDSettings) -> Update:  # noqa: ARG001  # a node takes both
        raise ModelError("gone")

    graph = one_node(fail)
    with pytest.raises(ModelError):
        graph.invoke({"problem": "2+2?"}, THREAD, context=RSDSettings(threshold=0.5))
    assert graph.get_state(THREAD).values["settings"] == RSDSettings(threshold=0.5)
    updates = list(one_node().stream({"problem": "2+2?"}, THREAD, stream_mode="updates"))
    assert updates == [{"only": {"problem": "seen"}}]


@pytest.mark.parametrize("new_problem", [False, True])
def test_an_error_carries_the_steps_of_its_own_run(new_problem: bool) -> None:
    """Not those of an earlier problem on the same thread."""

    async def fail(state: RSDState, settings: RSDSettings) -> Update:  # noqa: ARG001  # a node takes both
        raise ModelError("gone")

    steps = [Step("one", "draft")]
    update: Any = {**RUN, "steps": steps} | ({"problem": "2+2?"} if new_problem else {})
    with pytest.raises(ModelError) as caught:
        one_node(fail, takes_input=True).invoke(Command(update=update, goto="only"), THREAD)
    assert list(caught.value.steps) == ([] if new_problem else steps)


@pytest.mark.parametrize("takes_input", [False, True])
def test_a_node_that_takes_the_input_removes_it(takes_input: bool) -> None:
    """Once it has finished; any other node leaves it for the one that does."""

    async def nothing(state: RSDState, settings: RSDSettings) -> Update:  # noqa: ARG001  # a node takes both
        return {}

    graph = one_node(nothing, takes_input=takes_input)
    graph.invoke({"problem": "2+2?"}, THREAD)
    assert ("problem" in graph.get_state(THREAD).values) is not takes_input


def test_a_node_and_a_router_are_named_after_their_functions() -> None:
    """Studio and traces show the names."""

    def where_next(state: RSDState) -> str:
        return state["problem"]

    router = Router(where_next)
    assert (Node(look).name, router.name) == ("look", "where_next")
    state: Any = {**RUN, "problem": "there", "settings": RSDSettings()}
    assert router.invoke(state) == asyncio.run(router.ainvoke(state)) == "there"


def test_the_longest_run_stays_below_the_limit() -> None:
    """Four nodes per step, and the ends."""
    assert RECURSION_LIMIT > 4 * MAX_STEPS_LIMIT
