"""The target model rewrites a step of the draft that was not accepted."""

from collections.abc import Awaitable, Callable
from typing import Any

from rsd_graph.decision import is_kept
from rsd_graph.errors import ContextOverflowError
from rsd_graph.events import emit
from rsd_graph.message_stream import is_read
from rsd_graph.next_step import propose
from rsd_graph.protocols import RewardModel, StepGenerator, needs_logprobs
from rsd_graph.review import drawn_again, may_pause
from rsd_graph.run_scope import moment
from rsd_graph.settings import RSDSettings
from rsd_graph.showing import Showing
from rsd_graph.state import Generation, RSDState, Usage
from rsd_graph.text_sink import text_to
from rsd_graph.tools.formats import Choose, ToolFormat, no_tools


def target_node(
    model: StepGenerator, choose: Choose = no_tools, reward: RewardModel | None = None
) -> Callable[[RSDState, RSDSettings], Awaitable[dict[str, Any]]]:
    """The node in which the target replaces the draft's proposal.

    Args:
        model: The expensive one.
        choose: The format of code in a run.
        reward: What will score the step if a person may review it; it decides whether log-probabilities are asked for.
    """

    async def target(state: RSDState, settings: RSDSettings) -> dict[str, Any]:
        rejected = state["proposal"]
        if state["author"] == "draft" and is_kept(state, settings):
            return {}  # since `score`, a fork or a resumed call has chosen other settings: the draft's step is kept
        spent = Usage(discarded=rejected.usage.completion if rejected else 0)
        try:
            generation, shown = await _written(model, state, settings, choose(settings), reward)
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
            **({"output": None} if state.get("output") is not None else {}),  # it was that of the draft's code
            **({"shown": shown} if shown else {}),
            **({"rejected": rejected} if may_pause(settings) and state["author"] == "draft" else {}),
            "usage": state["usage"] + spent + Usage(target=generation.usage),
        }

    return target


async def _written(
    model: StepGenerator,
    state: RSDState,
    settings: RSDSettings,
    tools: ToolFormat | None,
    reward: RewardModel | None,
) -> tuple[Generation, int]:
    """The step, shown while it is written, and how many characters of the response were shown that way.

    A call that fails when some of its text was shown counts as cut there. The run goes on from that text, and fails at
    the next call if the model is gone for good. What a person may still take back is not shown before it is kept.
    """
    reviewed = may_pause(settings)
    now, index = moment(), len(state["steps"])
    memory = now.scope.shown if now else {}
    showing = Showing(state["steps"], settings.delimiter, state.get("message_id", ""), memory.get(index, ""))
    try:
        with text_to(showing if is_read() and not reviewed else None):  # a server that has to stream does more work
            proposed = await propose(
                model,
                "target",
                state["conversation"],
                state["steps"],
                drawn_again(settings, state.get("redraw")),
                logprobs=reviewed and needs_logprobs(reward),
                tools=tools,
            )
        generation = showing.settled(proposed)
    except Exception:
        if not showing.text:
            raise
        generation = showing.cut()
    finally:
        showing.end()
        memory[index] = showing.text
    return generation, showing.characters
