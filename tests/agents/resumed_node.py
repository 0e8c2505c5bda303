"""A program: the graph as a node of a conversation, with its checkpoints in a file. It can be killed, and run again.

python -m tests.agents.resumed_node FILE [QUESTION]; without a question, it resumes.
"""

import asyncio
import sys
from typing import Any

from langchain_core.messages import HumanMessage
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph

from rsd_graph import Generation, create_rsd_graph
from rsd_graph.testing import ScriptedModel, ScriptedReward

STEPS = [
    "Tom has 3 boxes with 4 apples each.",
    "That is 3 * 4 = 12 apples.",
    "He eats 2, so 12 - 2 = 10.",
    r"\boxed{10}",
]


class Slow(ScriptedModel):
    """A target that takes its time."""

    async def generate(self, *given: Any, **options: Any) -> list[Generation]:
        said = await super().generate(*given, **options)
        print(f"target {len(said[0].text)}", flush=True)
        await asyncio.sleep(0.3)
        return said


def say(_: Any, response: str, __: Any) -> Generation:
    kept = response.count("\n\n")
    return Generation(STEPS[kept], "eos" if kept == len(STEPS) - 1 else "delimiter")


async def main(file: str, *question: str) -> None:
    target = Slow(say, streams=True)
    solver = create_rsd_graph(ScriptedModel([Generation("?", "delimiter")]), target, ScriptedReward([0.0]))
    builder: Any = StateGraph(MessagesState)
    builder.add_node("solver", solver)
    builder.add_edge(START, "solver")
    builder.add_edge("solver", END)
    given = {"messages": [HumanMessage(question[0], id="question")]} if question else None
    thread: Any = {"configurable": {"thread_id": "1"}}
    async with AsyncSqliteSaver.from_conn_string(file) as saver:
        parent = builder.compile(checkpointer=saver)
        async for _, mode, part in parent.astream(
            given, thread, stream_mode=["custom", "values"], subgraphs=True, durability="sync"
        ):
            if mode == "custom" and part["event"] == "kept":
                print(f"kept {part['step']}", flush=True)
        for message in (await parent.aget_state(thread)).values["messages"]:
            print(message.type, message.id, repr(message.text), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
