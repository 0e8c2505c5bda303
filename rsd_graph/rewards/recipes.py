"""The process reward models that this package knows by name, and how to tell which one a server holds."""

import re

from rsd_graph.rewards.judge import judge
from rsd_graph.rewards.math_shepherd import math_shepherd
from rsd_graph.rewards.outcome import Outcome
from rsd_graph.rewards.prm import Recipe
from rsd_graph.rewards.qwen_prm import qwen_prm
from rsd_graph.rewards.rlhflow import rlhflow
from rsd_graph.rewards.skywork import skywork

RECIPES: dict[str, Recipe] = {
    "skywork": skywork,
    "qwen-prm": qwen_prm,
    "math-shepherd": math_shepherd,
    "rlhflow": rlhflow,
    "outcome": Outcome(),
    "judge": judge,
}
"""By the `kind` of `[reward]` in `rsd.toml`."""

NAMES = {
    "skywork": r"skywork-o1-open-prm",
    "qwen-prm": r"qwen2\.5-math-(prm|7b-prm800k)",
    "math-shepherd": r"math-shepherd.*prm",
    "rlhflow": r"llama3\.1-8b-prm",
}


def kind_of(model: str) -> str | None:
    """The recipe for a model of this name, as on the hub or in a path; None for one that is not known."""
    for kind, pattern in NAMES.items():
        if re.search(pattern, model, re.IGNORECASE):
            return kind
    return None
