"""The target model rewrites a step of the draft that was not accepted."""

from collections.abc import Awaitable, Callable
from typing import Any

from rsd_graph.acceptance import accepts
from rsd_graph.errors import ContextOverflowError
from rsd_graph.events import emit
from rsd_graph.next_step import propose
from rsd_graph.protocols import StepGenerator
from rsd_graph.settings import RSDSettings
from rsd_graph.state import RSDState, Usage


def target_node(model: StepGenerator) -> Callable[[RSDState, RSDSettings], Awaitable[dict[str, Any]]]:
    """The node in which `model`, the expensive one, replaces the draft's proposal."""

    async def target(state: RSDState, settings: RSDSettings) -> dict[str, Any]:
        rejected, reward = state["proposal"], state["reward"]
        if rejected and reward is not None and accepts(reward, settings, len(state["steps"])):
            return {}  # since `score`, a fork or a resumed call has chosen other settings: the draft's step is kept
        spent = Usage(discarded=rejected.usage.completion if rejected else 0)
        try:
            generation = await propose(model, "target", state["conversation"], state["steps"], settings, logprobs=False)
        except ContextOverflowError:
            return {"proposal": None, "stop": "context_overflow", "usage": state["usage"] + spent}
        emit(
            {
                "event": "replaced",
                "step": len(state["steps"]),
                "text": generation.text,
                "finish": generation.finish,
                "tokens": generation.usage.completion,
            }
        )
        return {
            "proposal": generation,
            "author": "target",
            "usage": state["usage"] + spent + Usage(target=generation.usage),
        }

    return target
