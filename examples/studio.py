"""The graph that `langgraph dev` serves to LangGraph Studio, on the embedded default.

Run `langgraph dev` in the repository's root. The weights are fetched and loaded by the first run, not at start-up.
"""

from rsd_graph import create_rsd_graph
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp
from rsd_graph.models.weights import DRAFT, TARGET
from rsd_graph.rewards.confidence import ConfidenceReward

graph = create_rsd_graph(EmbeddedLlamaCpp(DRAFT), EmbeddedLlamaCpp(TARGET), ConfidenceReward())
