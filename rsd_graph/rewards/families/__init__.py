"""The recipe of each kind of reward model."""

from rsd_graph.rewards.families.math_shepherd import math_shepherd
from rsd_graph.rewards.families.outcome import Outcome
from rsd_graph.rewards.families.qwen_prm import qwen_prm
from rsd_graph.rewards.families.rlhflow import rlhflow
from rsd_graph.rewards.families.skywork import skywork
from rsd_graph.rewards.judge import judge
from rsd_graph.rewards.prm import Recipe
from rsd_graph.rewards.trained.format import Trained

RECIPES: dict[str, Recipe] = {
    "skywork": skywork,
    "qwen-prm": qwen_prm,
    "math-shepherd": math_shepherd,
    "rlhflow": rlhflow,
    "outcome": Outcome(),
    "judge": judge,
    "trained": Trained(),
}
"""By the `kind` of `[reward]` in `rsd.toml`."""
