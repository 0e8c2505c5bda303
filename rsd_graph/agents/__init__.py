"""The graph in other people's agents: as a tool, as a chat model, and at many thresholds."""

from rsd_graph.agents.chat_model import ChatRSD
from rsd_graph.agents.sweep import AtThreshold, Sweep, athreshold_sweep, threshold_sweep
from rsd_graph.agents.tool import as_tool

__all__ = ["AtThreshold", "ChatRSD", "Sweep", "as_tool", "athreshold_sweep", "threshold_sweep"]
