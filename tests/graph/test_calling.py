import asyncio
import threading
from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool

from rsd_graph import RSDSettings, create_rsd_graph
from rsd_graph.testing import ScriptedModel, ScriptedReward
from tests.graph.scripts import KEEP, LONG, endless, step


def test_invoke_and_batch_run_past_any_recursion_limit() -> None:
    """The run ends by `max_steps`, even if LangGraph or the caller sets a small limit."""
    context = {"max_steps": LONG}
    assert endless().invoke({"problem": "p"}, {"recursion_limit": 5}, context=context)["stop"] == "max_steps"
    assert endless().with_config(recursion_limit=5).invoke({"problem": "p"}, context=context)["stop"] == "max_steps"
    for out in endless().batch([{"problem": "p"}] * 3, context=context):
        assert len(out["steps"]) == LONG


def test_async_batch_and_events_run_past_any_recursion_limit() -> None:
    """The async forms end the same way."""

    async def run() -> None:
        graph = endless()
        context = {"max_steps": LONG}
        for out in await graph.abatch([{"problem": "p"}] * 3, context=context):
            assert len(out["steps"]) == LONG
        names = [
            event["event"] async for event in graph.astream_events({"problem": "p"}, context=context, version="v2")
        ]
        assert names[-1] == "on_chain_end"

    asyncio.run(run())


def test_a_tool_and_a_pipe_run_past_any_recursion_limit() -> None:
    """Inside a tool, and inside an LCEL pipe, LangChain sets a limit of 25."""
    graph = create_rsd_graph(
        ScriptedModel([step("a")]),
        ScriptedModel([step("b")]),
        ScriptedReward([KEEP]),
        settings=RSDSettings(max_steps=LONG),
    )

    @tool
    def solve(problem: str) -> str:
        """Solve a problem."""
        return str(graph.invoke({"problem": problem})["stop"])

    assert solve.invoke({"problem": "p"}) == "max_steps"
    ask: Any = RunnableLambda(lambda text: {"problem": text})
    pipe = ask | graph | RunnableLambda(lambda out: out["stop"])
    assert pipe.invoke("p") == "max_steps"
    assert asyncio.run(pipe.ainvoke("p")) == "max_steps"


def test_a_batch_keeps_its_problems_apart() -> None:
    """Each output is its own problem's, in the order of the inputs, in both forms."""
    model = ScriptedModel(lambda messages, response, _: step(messages[-1].text, "eos" if response else "delimiter"))
    graph = create_rsd_graph(model, model, ScriptedReward([KEEP]))
    questions: Any = [{"problem": str(number)} for number in range(8)]
    expected = [f"{number}\n\n{number}" for number in range(8)]
    assert [out["response"] for out in graph.batch(questions)] == expected
    assert [out["response"] for out in asyncio.run(graph.abatch(questions))] == expected


def test_one_graph_serves_many_loops_and_threads() -> None:
    """No loop, one loop after another, a running loop's own thread, and a second thread."""
    model = ScriptedModel([step(r"\boxed{1}", "eos")])
    graph = create_rsd_graph(model, model, ScriptedReward([KEEP]))
    question: Any = {"problem": "p"}
    answers = [graph.invoke(question)["answer"]]

    async def inside_a_loop() -> None:
        answers.append((await graph.ainvoke(question))["answer"])
        answers.append(graph.invoke(question)["answer"])

    asyncio.run(inside_a_loop())
    asyncio.run(inside_a_loop())
    thread = threading.Thread(target=lambda: answers.append(graph.invoke(question)["answer"]))
    thread.start()
    thread.join()
    assert answers == ["1"] * 6


@pytest.mark.parametrize("asynchronous", [False, True])
def test_settings_come_from_the_call_then_from_the_graph(asynchronous: bool) -> None:
    """A context replaces the settings that the graph was made with; without one, those count."""
    model = ScriptedModel([step("a")])
    graph = create_rsd_graph(model, model, ScriptedReward([KEEP]), settings=RSDSettings(max_steps=4))

    def steps(**call: Any) -> int:
        question: Any = {"problem": "p"}
        out = asyncio.run(graph.ainvoke(question, **call)) if asynchronous else graph.invoke(question, **call)
        return len(out["steps"])

    assert steps() == 4
    assert steps(context={"max_steps": 2}) == 2
    assert steps(context=RSDSettings(max_steps=3)) == 3
    assert steps() == 4
