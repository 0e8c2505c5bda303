"""The draft model proposes the next step. The first call of a run also resets the state."""

from collections.abc import Awaitable, Callable
from typing import Any

from langchain_core.messages import convert_to_messages

from rsd_graph.errors import ContextOverflowError, InvalidProblemError
from rsd_graph.events import emit
from rsd_graph.next_step import conversation, propose
from rsd_graph.protocols import StepGenerator
from rsd_graph.settings import RSDSettings
from rsd_graph.state import RSDState, Usage


def draft_node(model: StepGenerator) -> Callable[[RSDState, RSDSettings], Awaitable[dict[str, Any]]]:
    """The node in which `model`, the cheap one, proposes the next step."""

    async def draft(state: RSDState, settings: RSDSettings) -> dict[str, Any]:
        opening = _open_run(state, settings) if "problem" in state else {}
        run: RSDState = {**state, **opening}  # type: ignore[typeddict-item]  # `opening` holds keys of the state only
        index = len(run["steps"])
        try:
            generation = await propose(model, "draft", run["conversation"], run["steps"], settings)
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
            "author": "draft",
            "reward": None,
            "usage": run["usage"] + Usage(draft=generation.usage, question=question),
        }

    return draft


def _open_run(state: RSDState, settings: RSDSettings) -> dict[str, Any]:
    """The state of a run without steps; it replaces whatever an earlier run left on the thread."""
    problem = state["problem"]
    if not isinstance(problem, str) or not problem.strip():
        raise InvalidProblemError(f"the problem must be non-empty text, got {problem!r}")
    try:
        problem.encode()
    except UnicodeEncodeError as error:
        raise InvalidProblemError(f"the problem contains an unpaired surrogate: {error}") from error
    return {
        "conversation": conversation(settings, problem, convert_to_messages(state.get("history", []))),
        "steps": [],
        "response": "",
        "answer": None,
        "stop": None,
        "usage": Usage(),
    }
