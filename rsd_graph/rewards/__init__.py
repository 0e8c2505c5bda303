"""Reward models: how a step is judged. Where a judging model runs is the business of `rsd_graph.models`."""

from rsd_graph.protocols import RewardModel
from rsd_graph.rewards.served import process_reward

__all__ = ["RewardModel", "process_reward"]
