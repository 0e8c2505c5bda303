"""The decision of a run: whether the draft's proposal is kept, and why."""

from collections.abc import Sequence

from rsd_graph.acceptance import acceptance_probability, accepts, uniform_draw
from rsd_graph.budget import in_force
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Decision, Generation, RSDState, Step, passed_gate


def suffices(proposal: Generation, reward: float, settings: RSDSettings, steps: Sequence[Step]) -> bool:
    """Whether a proposal with this reward is kept as the step that follows these."""
    return not proposal.given_up and accepts(reward, in_force(settings, steps), len(steps))


def is_kept(state: RSDState, settings: RSDSettings) -> bool | None:
    """Whether the proposal is kept, for its reward or because a person has chosen it; None if nothing was scored.

    A fork or a resumed call may have chosen other settings since it was scored.
    """
    proposal, reward = state["proposal"], state["reward"]
    if state.get("chosen"):
        return True
    if proposal is None or reward is None:
        return None
    return suffices(proposal, reward, settings, state["steps"])


def told(state: RSDState, settings: RSDSettings) -> Decision | None:
    """The decision about the proposal in this state, in words; None if there is no proposal."""
    proposal = state["proposal"]
    if proposal is None:
        return None
    kept, author = is_kept(state, settings), state["author"]
    return {
        "step": len(state["steps"]),
        "author": author,
        "proposal": proposal.text,
        "reward": None if passed_gate(state) else state["reward"],
        "threshold": in_force(settings, state["steps"]).threshold,
        "accepted": False if author == "target" else kept,
        "why": _why(state, settings, proposal, kept),
    }


def _why(state: RSDState, settings: RSDSettings, proposal: Generation, kept: bool | None) -> str:
    reward, author = state["reward"], state["author"]
    if state.get("chosen"):
        return "a person has edited it" if state.get("edited") else "a person has chosen it"
    if reward is None:
        return "not scored" if author == "draft" else f"the {author} wrote it: the draft's step was not scored"
    compared = _compared(reward, in_force(settings, state["steps"]), len(state["steps"]))
    if author != "draft":
        return f"the {author} wrote it, because the draft's step was rejected: {compared}"
    if proposal.given_up:
        return f"rejected before it was whole: its reward could be {reward:.3g} at most"
    if passed_gate(state):
        return "accepted without a reward: the draft was confident enough for the gate"
    return f"{'accepted' if kept else 'rejected'}: {compared}"


def _compared(reward: float, settings: RSDSettings, step: int) -> str:
    if settings.weighting == "step":
        return f"reward {reward:.3g}, threshold {settings.threshold:.3g}"
    probability = acceptance_probability(reward, settings)
    drawn = uniform_draw(settings.seed, step)
    return f"reward {reward:.3g}, accepted with probability {probability:.3g} ({settings.weighting}), drawn {drawn:.3g}"
