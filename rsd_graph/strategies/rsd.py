"""Reward-Guided Speculative Decoding itself (arXiv 2501.19324, algorithm 1): the graph of this library."""

from typing import Any

from rsd_graph.graph import create_rsd_graph
from rsd_graph.next_step import conversation
from rsd_graph.settings import RSDSettings, with_fields
from rsd_graph.strategies.outcome import Models, Outcome, Strategy, Watch, nobody
from rsd_graph.strategies.shadow import require_shadow, shadow_rewards


def rsd(*, shadow: bool = False, **fields: Any) -> Strategy:
    """The draft writes each step, and the target rewrites those whose reward is not good enough.

    Args:
        shadow: Whether the reward scores what the target wrote too, once the run has ended, so that calls of the target
            that were no use can be counted. It changes nothing in the run, and its tokens are not part of the usage.
        fields: Fields of `RSDSettings` that differ from those of the run, such as `threshold=0.8` or
            `weighting="sigmoidal"`.
    """

    async def solve(models: Models, problem: str, settings: RSDSettings, watch: Watch = nobody) -> Outcome:
        chosen = with_fields(settings, fields)
        await require_shadow(models, shadow=shadow)
        output = await run(models, {"problem": problem}, chosen, watch)
        steps = output["steps"]
        rewards = await shadow_rewards(models.reward, conversation(chosen, problem), steps) if shadow else {}
        return Outcome(output["response"], output["answer"], steps, output["stop"], output["usage"], shadow=rewards)

    return solve


async def run(models: Models, given: Any, settings: RSDSettings, watch: Watch) -> dict[str, Any]:
    """Run the graph on this input, and tell its events to who watches. Returns its output."""
    output: dict[str, Any] = {}
    mode: str
    chunk: Any
    modes: Any = ["custom", "values"]
    graph = create_rsd_graph(*models.for_rsd)
    async for mode, chunk in graph.astream(given, context=settings, stream_mode=modes):
        if mode == "custom":
            await watch(chunk)
        else:
            output = chunk
    return output
