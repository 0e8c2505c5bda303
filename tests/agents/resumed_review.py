"""A program: a run with tools and a review, with its checkpoints in a file. It can be killed, and run again.

python -m tests.agents.resumed_review FILE [PROBLEM]; without a problem, it resumes.
"""

import asyncio
import sys
from typing import Any

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.types import Command

from rsd_graph import Generation, RSDSettings, create_rsd_graph
from rsd_graph.checkpoints import serializer
from rsd_graph.sandbox import default_sandbox
from rsd_graph.testing import ScriptedModel, ScriptedReward

STEPS = [
    "```python\nboxes = 3\napples = boxes * 4\nprint(apples)\n```",
    "Slowly:\n```python\nimport time\ntime.sleep(1.5)\nprint(apples - 2)\n```",
    r"\boxed{10}",
]


def say(_: Any, response: str, __: Any) -> Generation:
    index = response.count("```output")
    return Generation(STEPS[index], "eos" if index == len(STEPS) - 1 else "delimiter")


async def main(file: str, *problem: str) -> None:
    settings = RSDSettings(tools="python", review="rejected", tool_timeout=20)
    draft = ScriptedModel([Generation("?", "delimiter")])
    async with AsyncSqliteSaver.from_conn_string(file) as saver:
        saver.serde = serializer()
        graph = create_rsd_graph(
            draft,
            ScriptedModel(say),
            ScriptedReward([0.0]),
            settings=settings,
            sandbox=default_sandbox(),
            checkpointer=saver,
        )
        thread: Any = {"configurable": {"thread_id": "1"}}
        given: Any = {"problem": problem[0]} if problem else None
        part: Any
        while True:
            async for _, part in graph.astream(given, thread, stream_mode=["tasks"], durability="sync"):
                if "input" in part:
                    print(part["name"], flush=True)
            state = await graph.aget_state(thread)
            if not state.interrupts:
                break
            given = Command(resume="accept")
        print(repr(state.values["response"]), state.values["answer"], flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
