"""How a tool or a chat model calls the graph."""

from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph.state import CompiledStateGraph

Graph = CompiledStateGraph[Any, Any, Any, Any]


def for_calls(graph: Graph) -> Graph:
    """The graph without a checkpointer of its own: each call is a run of its own, and belongs to no thread of it.

    Within a graph around it, LangGraph keeps the run with that one's checkpoints.
    """
    return graph.copy({"checkpointer": None}) if isinstance(graph.checkpointer, BaseCheckpointSaver) else graph
