"""Process reward models by family: one file each, and one row each in the table below.

To add a family, write its file and its row: it is then recognized by its served name, accepted as a `kind`, served with
the right flags and read from its own head.
"""

import re
from collections.abc import Sequence

from rsd_graph.control_tokens import break_markers
from rsd_graph.errors import ConfigurationError
from rsd_graph.protocols import ScoringBackend
from rsd_graph.rewards.families.judge import JUDGE
from rsd_graph.rewards.families.math_shepherd import MATH_SHEPHERD
from rsd_graph.rewards.families.outcome import OUTCOME
from rsd_graph.rewards.families.qwen_prm import QWEN_PRM
from rsd_graph.rewards.families.rlhflow import RLHFLOW
from rsd_graph.rewards.families.skywork import SKYWORK
from rsd_graph.rewards.families.trained import TRAINED
from rsd_graph.rewards.family import Family, ScoreLastStep
from rsd_graph.state import Score

FAMILIES: dict[str, Family] = {
    "skywork": SKYWORK,
    "qwen-prm": QWEN_PRM,
    "math-shepherd": MATH_SHEPHERD,
    "rlhflow": RLHFLOW,
    "outcome": OUTCOME,
    "judge": JUDGE,
    "trained": TRAINED,
}
"""By `kind`, as in `rsd.toml`."""


def recognize(model: str) -> str | None:
    """The kind of the model with this name, on the hub or in a path; None for a name that no family claims."""
    for kind, family in FAMILIES.items():
        if family.names and re.search(family.names, model, re.IGNORECASE):
            return kind
    return None


def family_of_kind(kind: str) -> Family:
    """The family of this kind.

    Raises:
        ConfigurationError: there is none.
    """
    if kind not in FAMILIES:
        combined = " (`combined` is `trained`, inside a `CombinedReward`)" if kind == "combined" else ""
        raise ConfigurationError(
            f"{kind!r} is no kind of process reward model; there are {', '.join(FAMILIES)}{combined}"
        )
    return FAMILIES[kind]


def score_last_step(kind: str, **options: float) -> ScoreLastStep:
    """How models of this kind score a step, whose text cannot pass for one of their step markers.

    Args:
        kind: A key of `FAMILIES`.
        options: The family takes those that it knows.

    Raises:
        ConfigurationError: there is no such kind.
    """
    chosen = family_of_kind(kind)
    known = {name: options[name] for name in chosen.options if name in options}

    async def score(backend: ScoringBackend, problem: str, steps: Sequence[str]) -> Score:
        problem, *steps = (break_markers(text, chosen.markers) for text in (problem, *steps))
        return await chosen.score(backend, problem, steps, **known)

    return score
