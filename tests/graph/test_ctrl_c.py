import signal
import subprocess
import sys
import time

import pytest

PROGRAM = """
import asyncio, signal, sys, threading
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict
from rsd_graph import create_rsd_graph
from rsd_graph.testing import ScriptedReward

signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored where a shell started this in the background

class Hanging:
    name = "hanging"

    async def generate(self, *_, **__):
        print("asked", flush=True)
        try:
            await asyncio.sleep(600)
        finally:
            print("cancelled", flush=True)

class State(TypedDict, total=False):
    problem: str

graph = create_rsd_graph(Hanging(), Hanging(), ScriptedReward([1.0]))
builder = StateGraph(State)
builder.add_node("solver", graph)
builder.add_edge(START, "solver")
builder.add_edge("solver", END)
parent = builder.compile()
question = {"problem": "p"}
CALL
"""


@pytest.mark.parametrize(
    "call",
    [
        "graph.invoke(question)",
        "list(graph.stream(question))",
        "list(graph.stream(question, stream_mode='custom'))",
        "list(graph.stream(question, stream_mode=['messages', 'values'], subgraphs=True))",
        "graph.batch([question] * 6)",
        "graph.batch([question] * 6, {'max_concurrency': 2})",
        "list(graph.batch_as_completed([question] * 3))",
        "parent.invoke(question)",
        "list(parent.stream(question, stream_mode='custom', subgraphs=True))",
        "parent.batch([question] * 3)",
    ],
)
def test_ctrl_c_ends_a_run_whose_model_hangs(call: str) -> None:
    """In every sync form, within seconds, by `KeyboardInterrupt`; and the model's work is cancelled."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.replace("CALL", call)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path), "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "asked\n"
        time.sleep(0.3)  # the main thread is waiting by now
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert time.monotonic() - sent < 10
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert "invoke(question)" in call or "cancelled" in out
