"""A person decides about a step: the run pauses before the step is kept."""

from dataclasses import replace
from typing import Any

from langgraph.types import interrupt

from rsd_graph.control_tokens import neutralize
from rsd_graph.review import Answer, Question, question, read_answer
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Generation, RSDState, Usage

SCHEMA = Answer.model_json_schema()


async def review(state: RSDState, settings: RSDSettings) -> dict[str, Any]:
    """Pause with a `Question`, and do what the answer says. A wrong answer is told, and asked for again."""
    asked = question(state, settings)
    answer = _answer(asked)
    proposal, drafted = state["proposal"], state.get("rejected")
    assert proposal is not None  # noqa: S101  # else the edge does not lead here
    thrown_away = Usage(discarded=proposal.usage.completion)
    match answer.action:
        case "accept":
            return {"chosen": True}
        case "draft":
            assert drafted is not None  # noqa: S101  # else the action is not offered
            regained = state["usage"].discarded + thrown_away.discarded - drafted.usage.completion
            usage = replace(state["usage"], discarded=max(0, regained))
            return {"chosen": True, "proposal": drafted, "author": "draft", "usage": usage}
        case "edit":
            return {
                "chosen": True,
                "edited": True,
                "proposal": _edited(proposal, answer.text or "", settings),
                "usage": state["usage"] + thrown_away,
            }
        case "redraw":
            seed = answer.seed if answer.seed is not None else (state.get("redraw") or settings.seed) + 1
            by_draft = state["author"] == "draft"  # the target counts what it replaces by itself
            return {"redraw": seed, **({"usage": state["usage"] + thrown_away} if by_draft else {})}
        case "stop":
            return {"stop": "stopped", "proposal": None, "usage": state["usage"] + thrown_away}


def _answer(asked: Question) -> Answer:
    """The first answer that is one. LangGraph gives a node that runs again the answers of its earlier pauses."""
    shown = asked
    while True:
        given = interrupt(shown, response_schema=SCHEMA)
        try:
            return read_answer(given, asked)
        except ValueError as error:
            shown = {**asked, "error": str(error)}


def _edited(proposal: Generation, text: str, settings: RSDSettings) -> Generation:
    """The step as a person wrote it. It ends where the proposal did; one that a limit had cut is whole now."""
    written = text.removesuffix(settings.delimiter)
    if settings.neutralize_control_tokens:
        written = neutralize(written)
    return Generation(written, "delimiter" if proposal.finish == "length" else proposal.finish)
