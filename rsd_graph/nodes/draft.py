"""The draft model proposes the next step. The first draft of a run also opens it."""

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
    """The node in which `model`, the cheap one, writes a candidate for the next step."""

    async def draft(state: RSDState, settings: RSDSettings) -> dict[str, Any]:
        opening = _open_run(state, settings) if "problem" in state else {}
        run: RSDState = {**state, **opening}  # type: ignore[typeddict-item]  # opening holds the state's own keys
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
    """The state of a run that has kept nothing yet, whatever an earlier run left on the thread."""
    problem = state["problem"]
    if not isinstance(problem, str) or not problem.strip():
        raise InvalidProblemError(f"the problem must be a text that is not empty, got {problem!r}")
    try:
        problem.encode()
    except UnicodeEncodeError as error:
        raise InvalidProblemError(f"the problem holds half a character, so its encoding is wrong: {error}") from error
    return {
        "conversation": conversation(settings, problem, convert_to_messages(state.get("history", []))),
        "steps": [],
        "response": "",
        "answer": None,
        "stop": None,
        "usage": Usage(),
    }
