"""What the state machine itself costs in microseconds per node: LangGraph's own share, and what ours adds.

    python benchmarks/overhead.py

Scripted models answer immediately, so that only the state machine is measured. "LangGraph alone" is a graph with the
same nodes and edges, whose nodes return an empty update and count the steps. Both run in turns; the ratio is of their
medians.
"""

import argparse
import asyncio
import statistics
import time
from typing import Any, Literal

from langgraph.graph import END, START, StateGraph
from rich.console import Console
from rich.table import Table
from typing_extensions import TypedDict

from rsd_graph import Generation, create_rsd_graph
from rsd_graph.testing import ScriptedModel, ScriptedReward

NODES_PER_STEP = 3  # draft, score, check


class Count(TypedDict):
    """The state of the bare graph."""

    problem: str
    steps: int


def bare_graph(steps: int) -> Any:
    """LangGraph with the same nodes and edges; its nodes do nothing."""

    async def nothing(_: Count) -> dict[str, Any]:
        return {}

    async def count(state: Count) -> dict[str, Any]:
        return {"steps": state.get("steps", 0) + 1}

    async def keep(_: Count) -> Literal["check", "target"]:
        return "check"

    async def go_on(state: Count) -> Literal["draft", "__end__"]:
        return "__end__" if state["steps"] >= steps else "draft"

    graph: Any = StateGraph(Count)
    graph.add_node("draft", nothing)
    graph.add_node("score", nothing)
    graph.add_node("target", nothing)
    graph.add_node("check", count)
    graph.add_edge(START, "draft")
    graph.add_edge("draft", "score")
    graph.add_conditional_edges("score", keep)
    graph.add_edge("target", "check")
    graph.add_conditional_edges("check", go_on, ["draft", END])
    return graph.compile()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=50, help="steps per run (default: 50)")
    parser.add_argument("--rounds", type=int, default=15, help="runs per graph (default: 15)")
    options = parser.parse_args()
    model = ScriptedModel([Generation("Three apples and four apples are seven apples.", "delimiter")])
    ours = create_rsd_graph(model, model, ScriptedReward([1.0]))
    steps: int = options.steps
    bare = bare_graph(steps)
    config = {"recursion_limit": 4 * steps + 10}

    async def run(graph: Any, context: dict[str, Any] | None) -> float:
        started = time.perf_counter()
        await graph.ainvoke({"problem": "p"}, config, context=context)
        seconds = time.perf_counter() - started
        return seconds / (NODES_PER_STEP * steps) * 1e6

    times: dict[str, list[float]] = {"LangGraph alone": [], "rsd-graph": []}
    for _ in range(options.rounds):
        times["LangGraph alone"].append(await run(bare, None))
        times["rsd-graph"].append(await run(ours, {"max_steps": steps}))
    medians = {name: statistics.median(measured) for name, measured in times.items()}
    table = Table("graph", "µs per node, median", "fastest", "slowest", "ratio")
    for name, measured in times.items():
        ratio = medians[name] / medians["LangGraph alone"]
        table.add_row(name, f"{medians[name]:.0f}", f"{min(measured):.0f}", f"{max(measured):.0f}", f"{ratio:.2f}")
    Console().print(table)


if __name__ == "__main__":
    asyncio.run(main())
