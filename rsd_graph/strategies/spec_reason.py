"""SpecReason (arXiv 2504.07891): as RSD, but the target itself says whether a step of the draft is kept."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rsd_graph.errors import ConfigurationError
from rsd_graph.rewards.digit import HIGHEST, DigitReward
from rsd_graph.settings import RSDSettings, with_fields
from rsd_graph.state import TokenUsage
from rsd_graph.strategies.outcome import Models, Outcome, Strategy, Watch, nobody
from rsd_graph.strategies.rsd import run

THRESHOLD = 7
"""The default of the authors' program."""


def spec_reason(threshold: int = THRESHOLD) -> Strategy:
    """The draft writes each step; the target rates it from 0 to 9 with one token, and rewrites it below the threshold.

    The rating is a digit that the target writes at temperature 0, in its own conversation after the steps so far; an
    answer without a digit is a 0. No reward model is asked. Rewards of steps are ninths of the digits, and `threshold`
    and `weighting` of the settings do not apply. What the target reads and writes for ratings counts as the target's.
    The wrappers of `[latency]` are not used.

    Args:
        threshold: Lowest rating, a whole number from 0 to 9, with which a step of the draft is kept.

    Raises:
        ConfigurationError: `threshold` is none of these.
    """
    fields = decided_by(threshold)

    async def solve(models: Models, problem: str, settings: RSDSettings, watch: Watch = nobody) -> Outcome:
        rated = with_fields(settings, fields)
        judged = Models(models.draft, models.target, DigitReward(models.target, rated))
        output = await run(judged, {"problem": problem}, rated, watch)
        usage = output["usage"]
        usage = replace(usage, target=usage.target + usage.reward, reward=TokenUsage())
        return Outcome(output["response"], output["answer"], output["steps"], output["stop"], usage)

    return solve


def decided_by(threshold: int = THRESHOLD) -> Mapping[str, Any]:
    """The fields of `RSDSettings` that this threshold stands for."""
    if isinstance(threshold, bool) or not isinstance(threshold, int) or not 0 <= threshold <= HIGHEST:
        raise ConfigurationError(f"threshold must be a rating, a whole number from 0 to {HIGHEST}, got {threshold!r}")
    return {"threshold": threshold / HIGHEST, "weighting": "step", "budget": None}
