"""Reward-Guided Speculative Decoding itself (arXiv 2501.19324, algorithm 1): the graph of this library."""

from typing import Any, cast

from rsd_graph.graph import create_rsd_graph
from rsd_graph.settings import RSDSettings, with_fields
from rsd_graph.strategies.outcome import Models, Outcome, Strategy, Watch, nobody


def rsd(**fields: Any) -> Strategy:
    """The draft writes each step, and the target rewrites those whose reward is not good enough.

    Args:
        fields: Fields of `RSDSettings` that differ from those of the run, such as `threshold=0.8` or
            `weighting="sigmoidal"`.
    """

    async def solve(models: Models, problem: str, settings: RSDSettings, watch: Watch = nobody) -> Outcome:
        graph = create_rsd_graph(*models.for_rsd)
        output: Any = None
        chosen = with_fields(settings, fields)
        modes: Any = ["custom", "values"]
        async for mode, chunk in graph.astream({"problem": problem}, context=chosen, stream_mode=modes):
            if mode == "custom":
                await watch(cast("Any", chunk))
            else:
                output = chunk
        return Outcome(output["response"], output["answer"], output["steps"], output["stop"], output["usage"])

    return solve
