"""The draft model proposes the next step. The first call of a run also resets the state."""

from collections.abc import Awaitable, Callable
from typing import Any

from rsd_graph.errors import ContextOverflowError, InvalidProblemError
from rsd_graph.events import emit
from rsd_graph.next_step import conversation, propose
from rsd_graph.protocols import StepGenerator
from rsd_graph.question import TAKEN, read_question
from rsd_graph.settings import RSDSettings
from rsd_graph.state import RSDState, Usage, no_steps


def draft_node(
    model: StepGenerator, *, logprobs: bool = True
) -> Callable[[RSDState, RSDSettings], Awaitable[dict[str, Any]]]:
    """The node in which `model`, the cheap one, proposes the next step; `logprobs`: whether the reward reads them."""

    async def draft(state: RSDState, settings: RSDSettings) -> dict[str, Any]:
        opening = _open_run(state, settings) if any(key in state for key in TAKEN) else {}
        run: RSDState = {**state, **opening}  # type: ignore[typeddict-item]  # `opening` holds keys of the state only
        if "conversation" not in run:
            raise InvalidProblemError("the run has no problem: it must be non-empty text, got None")
        index = len(run["steps"])
        try:
            generation = await propose(model, "draft", run["conversation"], run["steps"], settings, logprobs=logprobs)
        except ContextOverflowError:
            return {**opening, "proposal": None, "stop": "context_overflow"}
        emit(
            {
                "event": "proposed",
                "step": index,
                "text": generation.text,
                "finish": generation.finish,
                "tokens": generation.usage.completion,
            }
        )
        question = generation.usage.prompt if index == 0 else 0
        return {
            **opening,
            "proposal": generation,
            **({} if run.get("author") == "draft" else {"author": "draft"}),
            **({} if "reward" in run and run["reward"] is None else {"reward": None}),
            "usage": run["usage"] + Usage(draft=generation.usage, question=question),
        }

    return draft


def _open_run(state: RSDState, settings: RSDSettings) -> dict[str, Any]:
    """The state of a run without steps; it replaces whatever an earlier run left on the thread."""
    question = read_question({key: state.get(key) for key in TAKEN})
    asked = conversation(settings, question["problem"], question["history"])
    opened = no_steps()
    if state.get("message_id") and not state["steps"] and not state["stop"]:  # as START has written it
        opened["message_id"] = state["message_id"]
    return opened if state.get("conversation") == asked else {"conversation": asked, **opened}
