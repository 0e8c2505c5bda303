"""Reward-Guided Speculative Decoding (arXiv 2501.19324) as a LangGraph state machine."""

from rsd_graph.graph import build_rsd_graph, create_rsd_graph
from rsd_graph.protocols import RewardModel, StepGenerator
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Generation, Score, Step, TokenUsage, Usage

__all__ = [
    "Generation",
    "RSDSettings",
    "RewardModel",
    "Score",
    "Step",
    "StepGenerator",
    "TokenUsage",
    "Usage",
    "build_rsd_graph",
    "create_rsd_graph",
]
