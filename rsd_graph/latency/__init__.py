"""Wrappers around draft, target and reward that make a run shorter. Each stands in a file of its own; all combine.

    graph = create_rsd_graph(*faster(draft, target, reward))

None of them changes the graph. Decisions, and at temperature 0 the text, are those of the plain run, except that `gate`
accepts steps without asking the reward. What a wrapper starts is ended as soon as it is not needed, and with its run at
the latest; what was computed in vain counts in the run's `usage`.
"""

from rsd_graph.latency.ahead import draft_ahead
from rsd_graph.latency.gate import gated
from rsd_graph.latency.hedge import hedged
from rsd_graph.latency.warm import warmed
from rsd_graph.protocols import RewardModel, StepGenerator

__all__ = ["draft_ahead", "faster", "gated", "hedged", "warmed"]


def faster(
    draft: StepGenerator,
    target: StepGenerator,
    reward: RewardModel,
    *,
    ahead: bool = True,
    warm: bool = False,
    gate: float | None = None,
    hedge: float | None = None,
    confidence: RewardModel | None = None,
) -> tuple[StepGenerator, StepGenerator, RewardModel]:
    """The three models, wrapped; pass them to `create_rsd_graph`.

    Args:
        draft: Proposes the steps.
        target: Rewrites rejected steps.
        reward: Scores the proposals.
        ahead: The draft writes the next step while this one is scored (`draft_ahead`).
        warm: The target reads accepted steps at once, rather than when it is needed (`warmed`).
        gate: A step of which the draft is at least this confident is accepted unscored (`gated`); None asks for all.
        hedge: A step of which the draft is less confident than this is written by the target too, while it is scored
            (`hedged`); None waits for the reward.
        confidence: Says how confident the draft is; by default `ConfidenceReward`, calibrated for the embedded draft.

    Raises:
        ConfigurationError: a bound is not a number in [0, 1].
    """
    if gate is not None:
        reward = gated(reward, gate, confidence=confidence)
    if warm:
        target, reward = warmed(target, reward)
    if hedge is not None:
        target, reward = hedged(target, reward, hedge, confidence=confidence)
    if ahead:
        draft, reward = draft_ahead(draft, reward)
    return draft, target, reward
