"""The process reward model scores the draft's proposal."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from rsd_graph.decision import suffices
from rsd_graph.errors import ContextOverflowError
from rsd_graph.events import emit
from rsd_graph.next_step import is_blank
from rsd_graph.nodes.tool import Runner
from rsd_graph.protocols import RewardModel
from rsd_graph.run_scope import at
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Generation, RSDState, Score, Step, TokenUsage, Usage
from rsd_graph.tools.blocks import code_to_run
from rsd_graph.tools.formats import Choose, ToolFormat, no_tools
from rsd_graph.tracing import traced
from rsd_graph.verdicts import verdicts


def score_node(
    model: RewardModel, choose: Choose = no_tools, runner: Runner | None = None
) -> Callable[[RSDState, RSDSettings], Awaitable[dict[str, Any]]]:
    """The node in which `model` scores the draft's proposal in [0, 1]; and the target's, where a review may show it.

    Args:
        model: The process reward model.
        choose: The format of code in a run.
        runner: Runs the draft's code first, where `tools_before_score` is set: the reward then sees its output.
    """

    async def score(state: RSDState, settings: RSDSettings) -> dict[str, Any]:
        proposal = state["proposal"]
        if proposal is None:  # the draft's context is full: the run is about to end
            return {}
        if state["author"] == "target":
            return await _of_the_target(model, state, proposal)
        index = len(state["steps"])
        if proposal.finish != "eos" and is_blank(proposal):
            emit({"event": "scored", "step": index, "reward": None, "accepted": False})
            return {"reward": None}

        output, seen = await _with_output(state, settings, choose(settings), runner)
        try:
            verdict = await _verdict(model, state, seen)
        except ContextOverflowError:
            spent = Usage(discarded=proposal.usage.completion)
            return {"proposal": None, "stop": "context_overflow", "usage": state["usage"] + spent}
        accepted = suffices(proposal, verdict.reward, settings, state["steps"])
        shown = None if verdict.gated else verdict.reward
        emit({"event": "scored", "step": index, "reward": shown, "accepted": accepted})
        return {
            "reward": verdict.reward,
            **({} if output is None else {"output": output}),
            **({} if verdict.usage == TokenUsage() else {"usage": state["usage"] + Usage(reward=verdict.usage)}),
            **({"gated": verdict.gated} if verdict.gated or state.get("gated") else {}),
        }

    return score


async def _of_the_target(model: RewardModel, state: RSDState, proposal: Generation) -> dict[str, Any]:
    """The reward of what the target wrote. Nothing depends on it but a review, so a full context leaves it unknown."""
    try:
        with at(None):  # a wrapper would take the step for the draft's, and work ahead of it
            verdict = await _verdict(model, state, proposal)
    except ContextOverflowError:
        return {"target_reward": None}
    return {"target_reward": verdict.reward, "usage": state["usage"] + Usage(reward=verdict.usage)}


async def _verdict(model: RewardModel, state: RSDState, candidate: Generation) -> Score:
    async def call() -> Score:
        (score,) = await verdicts(model, state["conversation"], state["steps"], [candidate])
        return score

    return await traced(model, "reward", state["conversation"], call, candidate=candidate.text)


async def _with_output(
    state: RSDState, settings: RSDSettings, tools: ToolFormat | None, runner: Runner | None
) -> tuple[str | None, Generation]:
    """What the proposal's code prints, if it is to run now, and the proposal with it as the reward sees it."""
    proposal = state["proposal"]
    assert proposal is not None  # noqa: S101  # else nothing is scored
    if tools is None or runner is None or not settings.tools_before_score:
        return None, proposal
    step = Step(proposal.text, "draft", finish=proposal.finish)
    code = code_to_run([*state["steps"], step], tools, settings.delimiter)
    if code is None:
        return None, proposal
    output = await runner.output(code, state["steps"], tools, settings)
    return output, replace(proposal, text=proposal.text + tools.answer(output))
