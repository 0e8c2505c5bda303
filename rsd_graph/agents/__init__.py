"""The graph inside larger agents: as a tool, and as a chat model."""

from rsd_graph.agents.chat_model import ChatRSD
from rsd_graph.agents.tool import as_tool

__all__ = ["ChatRSD", "as_tool"]
