"""Keeps the step, and checks whether the run ends here: why, and with which answer."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage

from rsd_graph.answers import extract_answer
from rsd_graph.channels import appended
from rsd_graph.decision import is_kept
from rsd_graph.events import emit, show
from rsd_graph.next_step import blanks_at_end, is_blank, limit_reached
from rsd_graph.protocols import Named
from rsd_graph.reply import reply
from rsd_graph.run_scope import moment
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Generation, RSDState, Step, Stop, Usage, after, join_steps, new_message_id, passed_gate
from rsd_graph.tools.blocks import by_models, code_to_run
from rsd_graph.tools.formats import Choose, no_tools

REVIEWED = ("rejected", "target_reward", "chosen", "edited", "redraw")
"""What a review leaves in the state, until the step is kept."""


def check_node(
    models: Mapping[str, Named] | None = None, choose: Choose = no_tools
) -> Callable[[RSDState, RSDSettings], Awaitable[dict[str, Any]]]:
    """The node that appends the proposal to the response, and ends the run when there is a reason to.

    Args:
        models: Draft, target and reward by role; the message that the response becomes says their names.
        choose: The format of code in a run. A step that asks to run code does not end it.
    """

    async def check(state: RSDState, settings: RSDSettings) -> dict[str, Any]:
        if is_kept(state, settings) is False and state["author"] == "draft":
            return {}  # since `score`, a fork or a resumed call has chosen other settings: the edge leads to the target
        steps, kept = _kept(state)
        tools = choose(settings)
        code = code_to_run(steps, tools, settings.delimiter) if tools else None
        stop = state["stop"] or _stop(state["proposal"], steps, settings, code)
        if stop:
            steps = steps[: len(steps) - blanks_at_end(steps)]
        usage = state["usage"] + kept + (_spent_early() if stop else Usage())
        response = join_steps(steps, settings.delimiter)
        message_id = state.get("message_id", "") or new_message_id()
        grown = _report(state["steps"], steps, settings.delimiter)[state.get("shown", 0) :]
        ending: dict[str, Any] = {}
        if stop:
            message = reply(response, message_id=message_id, steps=steps, stop=stop, usage=usage, models=models or {})
            answer = extract_answer(join_steps(by_models(steps), settings.delimiter))
            show(grown, message_id, whole=message)
            emit({"event": "finished", "stop": stop, "answer": answer, "steps": len(steps)})
            ending = {"stop": stop, "answer": answer, "messages": _messages(state, message)}
        elif grown:
            show(grown, message_id)
        return {
            "steps": appended(state["steps"], steps),
            "response": appended(state["response"], response),
            "proposal": None,
            **({} if usage == state["usage"] else {"usage": usage}),
            **({"shown": 0} if state.get("shown") else {}),
            **{key: None for key in REVIEWED if state.get(key) is not None},
            **({} if code == state.get("code") else {"code": code}),
            **({} if state.get("message_id") else {"message_id": message_id}),  # a run of an earlier version
            **ending,
        }

    return check


def _kept(state: RSDState) -> tuple[list[Step], Usage]:
    """The steps with the proposal, and the tokens that it adds to the response. A blank end of text is no step."""
    steps, proposal = state["steps"], state["proposal"]
    if proposal is None or (proposal.finish == "eos" and is_blank(proposal)):
        return steps, Usage()
    step = Step(
        text=proposal.text,
        author=state["author"],
        reward=None if passed_gate(state) else state["reward"],
        finish=proposal.finish,
        tokens=proposal.usage.completion,
        edited=bool(state.get("edited")),
    )
    return [*steps, step], Usage(response=step.tokens)


def _messages(state: RSDState, message: AIMessage) -> list[AnyMessage]:
    """The conversation with its reply; a run that an edit has made go on has replied before."""
    return [*(each for each in state.get("messages") or () if each.id != message.id), message]


def _spent_early() -> Usage:
    """What was started early and is not needed: the run has ended, and its message counts all of it."""
    now = moment()
    if now is None:
        return Usage()
    now.scope.end()
    return now.scope.spent()


def _stop(proposal: Generation | None, steps: Sequence[Step], settings: RSDSettings, code: str | None) -> Stop | None:
    if code is None and (proposal is None or proposal.finish == "eos"):
        return "eos"
    return limit_reached(steps, settings)


def _report(before: Sequence[Step], steps: Sequence[Step], delimiter: str) -> str:
    """Tell which steps are kept. A blank one is, as soon as a step follows it that says something.

    Returns what the response has grown by.
    """
    if blanks_at_end(steps):
        return ""
    grown = ""
    for index in range(len(before) - blanks_at_end(before), len(steps)):
        step = steps[index]
        emit({"event": "kept", "step": index, "text": step.text, "author": step.author, "reward": step.reward})
        grown += (after(steps, index - 1, delimiter) if index else "") + step.text
    return grown
