"""What `langgraph dev` serves to LangGraph Studio: the solver, and an agent that embeds it, on the embedded default.

Run `langgraph dev --n-jobs-per-worker 8` in the repository's root. The weights are fetched and loaded by the first run,
not at start-up. With `RSD_STUDIO_FAKE=1` scripted models take their place: no weights, at once.
"""

import os
import sys
from pathlib import Path
from typing import Any

from langgraph.graph import END, START, MessagesState, StateGraph

sys.path.insert(0, str(Path(__file__).parent))  # `langgraph dev` loads this file by its path

from node import route, small_talk
from solve import embedded_models, fake_models

from rsd_graph import create_rsd_graph

graph = create_rsd_graph(*(fake_models() if os.environ.get("RSD_STUDIO_FAKE") else embedded_models()))

_agent: Any = StateGraph(MessagesState)
_agent.add_node("solver", graph, metadata={"description": "Solves the problem step by step."})
_agent.add_node("small_talk", small_talk, metadata={"description": "Answers what is no problem."})
_agent.add_conditional_edges(START, route, ["solver", "small_talk"])
_agent.add_edge("solver", END)
_agent.add_edge("small_talk", END)
agent = _agent.compile(name="agent")
