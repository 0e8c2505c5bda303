"""What the tests of the graph share: steps to script models with, and a graph that never ends by itself."""

from typing import Any

from rsd_graph import Generation, TokenUsage, create_rsd_graph
from rsd_graph.testing import ScriptedModel, ScriptedReward

KEEP, REWRITE = 1.0, 0.0
LONG = 60
"""More steps than LangGraph's default of 25 supersteps allows."""


def step(text: str, finish: str = "delimiter", tokens: int = 0) -> Generation:
    return Generation(text, finish, TokenUsage(prompt=10, completion=tokens))  # type: ignore[arg-type]


def endless() -> Any:
    """A graph that never ends by itself."""
    model = ScriptedModel([step("and so on")])
    return create_rsd_graph(model, model, ScriptedReward([KEEP]))


def thread(name: str = "1") -> Any:
    """The configuration of a checkpointer's thread."""
    return {"configurable": {"thread_id": name}}
