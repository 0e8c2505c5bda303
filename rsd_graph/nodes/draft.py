"""The draft model proposes the next step. The first call of a run also resets the state."""

from collections.abc import Awaitable, Callable
from typing import Any

from rsd_graph.acceptance import accepts
from rsd_graph.budget import in_force
from rsd_graph.errors import ContextOverflowError, InvalidProblemError
from rsd_graph.events import GivenUp, Proposed, emit
from rsd_graph.next_step import conversation, propose
from rsd_graph.protocols import Bound, Hopeless, RewardModel, StepGenerator, highest_reward, needs_logprobs
from rsd_graph.question import TAKEN, read_question
from rsd_graph.review import drawn_again, may_pause
from rsd_graph.settings import RSDSettings
from rsd_graph.state import RSDState, Usage, no_steps
from rsd_graph.tools.formats import Choose, no_tools


def draft_node(
    model: StepGenerator, reward: RewardModel | None = None, choose: Choose = no_tools
) -> Callable[[RSDState, RSDSettings], Awaitable[dict[str, Any]]]:
    """The node in which the draft model proposes the next step.

    Args:
        model: The cheap one.
        reward: What will score the proposal. It decides whether log-probabilities are asked for, and may know of a step
            that it is lost before it is whole (`protocols.highest_reward`).
        choose: The format of code in a run.
    """
    logprobs = reward is None or needs_logprobs(reward)
    bound = highest_reward(reward)

    async def draft(state: RSDState, settings: RSDSettings) -> dict[str, Any]:
        opening = _open_run(state, settings) if any(key in state for key in TAKEN) else {}
        run: RSDState = {**state, **opening}  # type: ignore[typeddict-item]  # `opening` holds keys of the state only
        if "conversation" not in run:
            raise InvalidProblemError("the run has no problem: it must be non-empty text, got None")
        index = len(run["steps"])
        try:
            # a person who may review the step reads it whole
            lost = _lost(bound, in_force(settings, run["steps"]), index) if bound and not may_pause(settings) else None
            generation = await propose(
                model,
                "draft",
                run["conversation"],
                run["steps"],
                drawn_again(settings, run.get("redraw")),
                logprobs=logprobs,
                stop_if=lost,
                tools=choose(settings),
            )
        except ContextOverflowError:
            return {**opening, "proposal": None, "stop": "context_overflow"}
        proposed: Proposed = {
            "event": "proposed",
            "step": index,
            "text": generation.text,
            "finish": generation.finish,
            "tokens": generation.usage.completion,
        }
        emit(GivenUp(**proposed, given_up=True) if generation.given_up else proposed)
        question = generation.usage.prompt if index == 0 else 0
        return {
            **opening,
            "proposal": generation,
            **({} if run.get("author") == "draft" else {"author": "draft"}),
            **({} if "reward" in run and run["reward"] is None else {"reward": None}),
            "usage": run["usage"] + Usage(draft=generation.usage, question=question),
        }

    return draft


def _lost(bound: Bound, settings: RSDSettings, step: int) -> Hopeless:
    """Every weighting function rises with the reward: what the highest possible one does not pass, none does."""
    return lambda logprobs: not accepts(bound(logprobs), settings, step)


def _open_run(state: RSDState, settings: RSDSettings) -> dict[str, Any]:
    """The state of a run without steps; it replaces whatever an earlier run left on the thread."""
    question = read_question({key: state.get(key) for key in TAKEN})
    asked = conversation(settings, question["problem"], question["history"])
    opened = no_steps()
    if state.get("message_id") and not state["steps"] and not state["stop"]:  # as START has written it
        opened["message_id"] = state["message_id"]
    return opened if state.get("conversation") == asked else {"conversation": asked, **opened}
