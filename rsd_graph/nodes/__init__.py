"""The nodes of the graph, one file each: a factory that returns an async function of state and settings."""

from rsd_graph.nodes.check import check_node
from rsd_graph.nodes.draft import draft_node
from rsd_graph.nodes.review import review
from rsd_graph.nodes.score import score_node
from rsd_graph.nodes.target import target_node
from rsd_graph.nodes.tool import tool_node

__all__ = ["check_node", "draft_node", "review", "score_node", "target_node", "tool_node"]
