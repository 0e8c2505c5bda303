"""What SQLite holds of a run, and what is read back of it."""

import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver

from rsd_graph import Generation, Step, create_rsd_graph
from rsd_graph.channels import SNAPSHOT_EVERY
from rsd_graph.testing import ScriptedModel, ScriptedReward

THREAD: Any = {"configurable": {"thread_id": "1"}}


def graph_on(saver: Any, *, size: int = 450) -> Any:
    """A graph whose every step has that many bytes."""
    model = ScriptedModel([Generation("x" * size, "delimiter")])
    return create_rsd_graph(model, model, ScriptedReward([1.0]), checkpointer=saver)


def run(saver: Any, steps: int, **options: Any) -> Any:
    """The graph after a run of that many steps."""
    graph = graph_on(saver)
    graph.invoke({"problem": "p"}, THREAD, context={"max_steps": steps, "max_tokens": 10**6}, **options)
    return graph


@pytest.mark.parametrize("steps", [40, 160])
def test_a_thread_grows_in_proportion_to_its_solution(steps: int, tmp_path: Path) -> None:
    """SQLite's file has at most 40 bytes per byte of the response, however long that is."""
    file = tmp_path / "checkpoints.sqlite"
    with sqlite3.connect(file, check_same_thread=False) as connection:
        response = run(SqliteSaver(connection), steps).get_state(THREAD).values["response"]
    assert file.stat().st_size < 40 * len(response)


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_every_durability_gives_back_the_run(durability: str) -> None:
    """What is new in each step is stored at once, or with the whole run at its end."""
    values = run(InMemorySaver(), 5, durability=durability).get_state(THREAD).values
    assert (len(values["steps"]), len(values["response"])) == (5, 5 * 450 + 4 * 2)


def test_the_history_shows_the_run_as_it_grew() -> None:
    """At each checkpoint, also after those that hold the whole value."""
    graph = run(InMemorySaver(), SNAPSHOT_EVERY + 5)
    seen = [len(each.values["steps"]) for each in graph.get_state_history(THREAD) if "steps" in each.values]
    assert seen == sorted(seen, reverse=True)
    assert set(seen) == set(range(SNAPSHOT_EVERY + 6))


def test_a_second_problem_starts_anew() -> None:
    """Nothing of the thread's first run is left in the second."""
    graph = run(InMemorySaver(), 5)
    values = graph.invoke({"problem": "q"}, THREAD, context={"max_steps": 2})
    assert values["steps"] == [Step("x" * 450, "draft", 1.0)] * 2
    assert graph.get_state(THREAD).values["response"] == values["response"] == "\n\n".join(["x" * 450] * 2)


@pytest.mark.filterwarnings("error")
def test_a_thread_that_stores_whole_records_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As this package wrote them once: the run keeps its step, its settings and its usage, and decides on."""
    monkeypatch.setenv("LANGGRAPH_STRICT_MSGPACK", "true")
    file = shutil.copy(Path(__file__).with_name("checkpoint_with_whole_values.sqlite"), tmp_path)
    target = ScriptedModel([Generation(r"So \boxed{209}.", "eos")])
    with sqlite3.connect(file, check_same_thread=False) as connection:
        graph = create_rsd_graph(target, target, ScriptedReward([1.0]), checkpointer=SqliteSaver(connection))
        stored = graph.get_state(THREAD)
        assert stored.next == ("target",)
        assert (stored.values["settings"].threshold, stored.values["settings"].seed) == (0.6, 3)
        assert [message.text for message in stored.values["conversation"]][-1] == "What is 17 * 12 + 5?"
        out = graph.invoke(None, THREAD)
    assert out["steps"] == [Step("17 * 12 is 204.", "draft", 0.9), Step(r"So \boxed{209}.", "target", 0.2, "eos")]
    assert out["response"] == "17 * 12 is 204.\n\nSo \\boxed{209}."


KILLED = """
import os, signal, sqlite3, sys
from langgraph.checkpoint.sqlite import SqliteSaver
from rsd_graph import Generation, create_rsd_graph
from rsd_graph.testing import ScriptedModel, ScriptedReward

class Deadly(ScriptedModel):
    async def generate(self, *args, **kwargs):
        if args[1].count("step") == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return await super().generate(*args, **kwargs)

model = Deadly([Generation("step", "delimiter")])
saver = SqliteSaver(sqlite3.connect(sys.argv[1], check_same_thread=False))
graph = create_rsd_graph(model, model, ScriptedReward([1.0]), checkpointer=saver)
graph.invoke({"problem": "p"}, {"configurable": {"thread_id": "1"}}, context={"max_steps": 10}, durability="sync")
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows cannot kill so")
def test_another_process_resumes_a_killed_run(tmp_path: Path) -> None:
    """It keeps the steps of the killed one, and ends at its limits."""
    file = tmp_path / "checkpoints.sqlite"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(file)], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    model = ScriptedModel([Generation("other", "delimiter")])
    with sqlite3.connect(file, check_same_thread=False) as connection:
        graph = create_rsd_graph(model, model, ScriptedReward([1.0]), checkpointer=SqliteSaver(connection))
        out = graph.invoke(None, THREAD)
    assert [step.text for step in out["steps"]] == ["step"] * 7 + ["other"] * 3
    assert out["response"] == "\n\n".join(["step"] * 7 + ["other"] * 3)
