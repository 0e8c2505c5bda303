import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from rsd_graph import create_rsd_graph
from rsd_graph.agents import as_tool
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp
from rsd_graph.rewards.confidence import ConfidenceReward
from tests.agents.resumed_node import STEPS
from tests.agents.test_tool import Calling
from tests.graph.scripts import thread

PROBLEM = "Tom has 3 boxes with 4 apples each. He eats 2 apples. How many are left?"


def test_an_agent_solves_a_problem_on_embedded_models(digit_weights: Path) -> None:
    """Within a conversation: real weights write the steps, and a scripted model calls the tool.

    All that these weights say is digits; what matters is that the whole way is real.
    """

    async def run() -> None:
        draft, target = (EmbeddedLlamaCpp(digit_weights, name=name, context=512, threads=1) for name in ("d", "t"))
        graph = create_rsd_graph(draft, target, ConfidenceReward())
        settings = {"max_steps": 2, "max_step_tokens": 8, "weighting": "constant", "constant": 0.5}
        call = AIMessage("", tool_calls=[{"name": "solve_problem", "args": {"problem": PROBLEM}, "id": "1"}])
        model = Calling(messages=iter([AIMessage("Hello!"), call, AIMessage("There are some left.")]))
        agent = create_agent(model, [as_tool(graph, settings=settings)], checkpointer=InMemorySaver())
        await agent.ainvoke({"messages": [HumanMessage("Hi")]}, thread())
        out = await agent.ainvoke({"messages": [HumanMessage(PROBLEM)]}, thread())
        assert [message.type for message in out["messages"]] == ["human", "ai", "human", "ai", "tool", "ai"]
        result: Any = out["messages"][4]
        assert result.status == "success"
        assert len(result.artifact) == 2
        assert all(step["text"] for step in result.artifact)
        await draft.aclose()
        await target.aclose()

    asyncio.run(run())


def test_a_node_is_killed_and_resumed_by_another_process(tmp_path: Path) -> None:
    """`kill -9` while the target writes: the other process asks for the steps that were not kept, and no others."""
    command = [sys.executable, "-m", "tests.agents.resumed_node", str(tmp_path / "checkpoints.sqlite")]
    first = subprocess.Popen([*command, PROBLEM], stdout=subprocess.PIPE, text=True)
    assert first.stdout
    seen: list[str] = []
    while seen[-2:] != ["kept 1", f"target {len(STEPS[2])}"]:
        seen.append(first.stdout.readline().strip())
    first.kill()
    first.wait()
    first.stdout.close()
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    lines = run.stdout.splitlines()
    assert [line for line in lines if line.startswith("kept")] == ["kept 2", "kept 3"]
    assert [line for line in lines if line.startswith("target")] == [f"target {len(each)}" for each in STEPS[2:]]
    question, answer = lines[-2:]
    assert question == f"human question {PROBLEM!r}"
    assert answer.startswith("ai rsd-")
    assert answer.endswith(repr("\n\n".join(STEPS)))


def test_a_run_with_tools_and_review_is_killed_in_a_tool_call_and_resumed(tmp_path: Path) -> None:
    """`kill -9` while the second block runs: another process runs it, with the variables of the first."""
    module = [sys.executable, "-m", "tests.agents.resumed_review"]
    whole = subprocess.run(
        [*module, str(tmp_path / "whole.sqlite"), PROBLEM], capture_output=True, text=True, check=True
    )
    command = [*module, str(tmp_path / "killed.sqlite")]
    with subprocess.Popen([*command, PROBLEM], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout
        seen: list[str] = []
        while seen.count("tool") < 2:
            seen.append(first.stdout.readline().strip())
        time.sleep(0.5)
        first.kill()
    second = subprocess.run(command, capture_output=True, text=True, check=True)
    assert second.stdout.split()[:2] == ["tool", "check"]
    assert second.stdout.splitlines()[-1] == whole.stdout.splitlines()[-1]
    assert second.stdout.splitlines()[-1].endswith("10")
    assert r"```output\n10\n" in second.stdout
