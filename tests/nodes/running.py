"""Runs one node by itself, as LangGraph would, and shows what it returned and which events it emitted."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from langchain_core.messages import HumanMessage
from langgraph.graph import END, START, StateGraph

from rsd_graph import Generation, RSDSettings, Step, TokenUsage, Usage
from rsd_graph.channels import grown
from rsd_graph.nodes import check_node
from rsd_graph.state import RSDState

NodeFunction = Callable[[RSDState, RSDSettings], Awaitable[dict[str, Any]]]


def run_node(
    function: NodeFunction, given: dict[str, Any], settings: RSDSettings | None = None
) -> tuple[dict[str, Any], list[Any]]:
    """The node's update of the given state, and its events in order."""
    updates = []

    async def node(state: RSDState) -> dict[str, Any]:
        update = await function(state, settings or RSDSettings())
        updates.append(update)
        return update

    async def run() -> list[Any]:
        question: Any = given
        return [event async for event in compiled.astream(question, stream_mode="custom")]

    graph = StateGraph(RSDState)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    graph.add_edge("node", END)
    compiled = graph.compile()
    events = asyncio.run(run())
    (update,) = updates
    return update, events


def run_check(given: dict[str, Any], settings: RSDSettings | None = None) -> tuple[dict[str, Any], list[Any]]:
    """What the check node makes of the run, and its events in order."""
    update, events = run_node(check_node(), given, settings)
    after = {**given, **update, **{key: grown(given[key], [update[key]]) for key in update if key in GROWING}}
    return {key: after[key] for key in ("steps", "response", "usage", "stop", "answer", "proposal")}, events


GROWING = {"steps", "response"}


def under_way(*steps: Step, **changes: Any) -> dict[str, Any]:
    """The state of a run that has kept these steps and has a draft's proposal."""
    return {
        "conversation": [HumanMessage("p")],
        "steps": list(steps),
        "response": "",
        "message_id": "m",
        "answer": None,
        "stop": None,
        "usage": SPENT,
        "proposal": Generation("proposed", "delimiter", TokenUsage(prompt=10, completion=4)),
        "author": "draft",
        "reward": None,
        **changes,
    }


SPENT = Usage(
    draft=TokenUsage(prompt=100, cached=50, completion=30),
    target=TokenUsage(prompt=60, cached=20, completion=15),
    reward=TokenUsage(prompt=40, cached=10, completion=5),
    discarded=7,
    question=20,
    response=25,
)
"""What the run had used before the node."""
