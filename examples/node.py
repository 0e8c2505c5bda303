"""The graph as a node of a conversation: any `MessagesState` graph takes it as it is, and streams its words.

python examples/node.py
python examples/node.py --fake      # scripted models: no weights, at once
"""

import asyncio
import sys
from typing import Any

from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from solve import PROBLEM, embedded_models, fake_models

from rsd_graph import create_rsd_graph


def route(state: MessagesState) -> str:
    """Problems go to the solver; the rest is small talk."""
    return "solver" if any(character.isdigit() for character in state["messages"][-1].text) else "small_talk"


def small_talk(_: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage("Hello! Give me a problem.")]}


async def main() -> None:
    graph = create_rsd_graph(*(fake_models() if "--fake" in sys.argv else embedded_models()))
    builder: Any = StateGraph(MessagesState)
    builder.add_node("solver", graph)
    builder.add_node("small_talk", small_talk)
    builder.add_conditional_edges(START, route, ["solver", "small_talk"])
    builder.add_edge("solver", END)
    builder.add_edge("small_talk", END)
    chat = builder.compile(checkpointer=InMemorySaver())

    thread: Any = {"configurable": {"thread_id": "1"}}
    for said in ("Hello", PROBLEM):
        print(f"you: {said}\nrsd: ", end="")
        given = {"messages": [("user", said)]}
        async for _, (message, _) in chat.astream(given, thread, stream_mode="messages", subgraphs=True):
            print(message.text, end="", flush=True)
        print()
    usage = (await chat.aget_state(thread)).values["messages"][-1].usage_metadata
    print(f"tokens: {usage['input_tokens']} read, {usage['output_tokens']} written")


if __name__ == "__main__":
    asyncio.run(main())
