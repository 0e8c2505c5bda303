import asyncio
import threading
from typing import Any

import pytest
from langgraph.graph import END, START

from rsd_graph import RSDSettings, Step
from rsd_graph._internal.runtime import RECURSION_LIMIT, Node, Router, RSDGraph, RSDStateGraph, Update
from rsd_graph.errors import ModelError
from rsd_graph.settings import MAX_STEPS_LIMIT
from rsd_graph.state import RSDState

SEEN: list[tuple[RSDSettings, str]] = []


async def look(state: RSDState, settings: RSDSettings) -> Update:  # noqa: ARG001  # a node takes both
    SEEN.append((settings, threading.current_thread().name))
    return {"problem": "seen"}


def one_node(node: Any = look, defaults: RSDSettings | None = None) -> RSDGraph:
    SEEN.clear()
    graph = RSDStateGraph(RSDState, RSDSettings)
    graph.add_node("only", Node(node, defaults or RSDSettings()))
    graph.add_edge(START, "only")
    graph.add_edge("only", END)
    return graph.compile()


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
    graph.invoke({"problem": "2+2?"}, context=context)
    assert SEEN[0][0].threshold == threshold


def test_a_resumed_run_keeps_its_settings() -> None:
    """Where there is no new problem, those in the state count before the graph's own."""
    graph = one_node()
    state: Any = {"settings": RSDSettings(threshold=0.5)}
    graph.invoke(state)
    assert SEEN[0][0] == state["settings"]


def test_a_node_works_on_the_callers_loop_or_on_the_background_loop() -> None:
    """`ainvoke` needs no other thread; `invoke`, which has no loop, uses the one in the background."""
    graph = one_node()
    graph.invoke({"problem": "2+2?"})
    asyncio.run(graph.ainvoke({"problem": "2+2?"}))
    assert [thread for _, thread in SEEN] == ["rsd-graph", "MainThread"]


def test_the_settings_are_written_where_they_changed() -> None:
    """So that a checkpoint holds them once, and not at every node."""
    out = one_node().invoke({"problem": "2+2?"}, context=RSDSettings(threshold=0.5))
    assert out["settings"] == RSDSettings(threshold=0.5)


@pytest.mark.parametrize("new_problem", [False, True])
def test_an_error_carries_the_steps_of_its_own_run(new_problem: bool) -> None:
    """Not those of an earlier problem on the same thread."""

    async def fail(state: RSDState, settings: RSDSettings) -> Update:  # noqa: ARG001  # a node takes both
        raise ModelError("gone")

    steps = [Step("one", "draft")]
    given: Any = {"steps": steps} | ({"problem": "2+2?"} if new_problem else {})
    with pytest.raises(ModelError) as caught:
        one_node(fail).invoke(given)
    assert list(caught.value.steps) == ([] if new_problem else steps)


def test_a_node_and_a_router_are_named_after_their_functions() -> None:
    """Studio and traces show the names."""

    def where_next(state: RSDState) -> str:
        return state["problem"]

    router = Router(where_next)
    assert (Node(look, RSDSettings()).name, router.name) == ("look", "where_next")
    state: Any = {"problem": "there"}
    assert router.invoke(state) == asyncio.run(router.ainvoke(state)) == "there"


def test_the_longest_run_stays_below_the_limit() -> None:
    """Four nodes per step, and the ends."""
    assert RECURSION_LIMIT > 4 * MAX_STEPS_LIMIT
