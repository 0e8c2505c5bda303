"""Keeps the step, and checks whether the run ends here: why, and with which answer."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from rsd_graph.answers import extract_answer
from rsd_graph.events import emit
from rsd_graph.next_step import is_blank
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Generation, RSDState, Step, Stop, Usage, join_steps


def check_node() -> Callable[[RSDState, RSDSettings], Awaitable[dict[str, Any]]]:
    """The node that appends the proposal to the response, and ends the run when there is a reason to."""

    async def check(state: RSDState, settings: RSDSettings) -> dict[str, Any]:
        steps, usage, proposal = state["steps"], state["usage"], state["proposal"]
        if proposal is not None and not is_blank(proposal):
            step = Step(
                text=proposal.text,
                author=state["author"],
                reward=state["reward"],
                finish=proposal.finish,
                tokens=proposal.usage.completion,
            )
            steps = [*steps, step]
            usage += Usage(response=step.tokens)
            emit(
                {
                    "event": "kept",
                    "step": len(steps) - 1,
                    "text": step.text,
                    "author": step.author,
                    "reward": step.reward,
                }
            )
        response = join_steps(steps, settings.delimiter)
        stop = state["stop"] or _stop(proposal, steps, settings)
        answer = extract_answer(response) if stop else None
        if stop:
            emit({"event": "finished", "stop": stop, "answer": answer, "steps": len(steps)})
        return {
            "steps": steps,
            "usage": usage,
            "response": response,
            "stop": stop,
            "answer": answer,
            "proposal": None,
        }

    return check


def _stop(proposal: Generation | None, steps: Sequence[Step], settings: RSDSettings) -> Stop | None:
    if proposal is None or proposal.finish == "eos":
        return "eos"
    if is_blank(proposal):
        return "no_progress"
    if sum(step.tokens for step in steps) >= settings.max_tokens:
        return "max_tokens"
    return "max_steps" if len(steps) >= settings.max_steps else None
