"""The decision of a run: whether the draft's proposal is kept."""

from rsd_graph.acceptance import accepts
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Generation, RSDState


def suffices(proposal: Generation, reward: float, settings: RSDSettings, step: int) -> bool:
    """Whether a proposal with this reward is kept as step number `step`, counted from 0."""
    return not proposal.given_up and accepts(reward, settings, step)


def is_kept(state: RSDState, settings: RSDSettings) -> bool | None:
    """Whether the proposal is kept for its reward; None if nothing was scored.

    A fork or a resumed call may have chosen other settings since it was scored.
    """
    proposal, reward = state["proposal"], state["reward"]
    if proposal is None or reward is None:
        return None
    return suffices(proposal, reward, settings, len(state["steps"]))
