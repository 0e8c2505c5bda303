"""Reward models: how a step is judged. Where a judging model runs is the business of `rsd_graph.models`."""

from rsd_graph.protocols import RewardModel

__all__ = ["RewardModel"]
