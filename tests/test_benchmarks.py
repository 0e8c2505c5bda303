import asyncio
import json
import runpy
from pathlib import Path

from rsd_graph import Generation, TokenUsage, create_rsd_graph
from rsd_graph.data.problems import Problem
from rsd_graph.data.solutions import Solution, read_solutions
from rsd_graph.testing import ScriptedModel, ScriptedReward

GSM8K = Path(__file__).parent.parent / "benchmarks" / "gsm8k.py"


def test_what_the_gsm8k_benchmark_records_is_a_solution(tmp_path: Path) -> None:
    """The schema that evaluation, calibration and training read, and more: authors, rewards, stop, usage, time."""
    thought = Generation("think", "delimiter", TokenUsage(completion=2), (-0.5, -0.5))
    wrong, right = (Generation(f"\\boxed{{{n}}}", "eos", TokenUsage(completion=3), (-0.1,) * 3) for n in (5, 4))
    graph = create_rsd_graph(ScriptedModel([thought, wrong]), ScriptedModel([right]), ScriptedReward([0.9, 0.1]))
    file = tmp_path / "rsd.jsonl"
    solve_all = runpy.run_path(str(GSM8K))["solve_all"]
    for _ in range(2):  # the second time, everything is there
        asyncio.run(solve_all(graph, {"threshold": 0.7}, [Problem("2+2?", "4")], file, 1))
    (line,) = file.read_text().splitlines()
    assert read_solutions(file) == [Solution("2+2?", (thought, right), True, "4", "4")]
    record = json.loads(line)
    assert [(step["author"], step["reward"]) for step in record["steps"]] == [("draft", 0.9), ("target", 0.1)]
    assert record["stop"] == "eos"
    assert record["usage"]["draft"]["completion"] == 5
    assert record["seconds"] >= 0


def test_the_throughput_benchmark_loses_no_step() -> None:
    """Its scripted servers understand the clients, and every problem gets its own answer."""
    measure = runpy.run_path(str(GSM8K.with_name("throughput.py")))["measure"]
    problems, *_, wrong = asyncio.run(measure(3, 0.01))
    assert (problems, wrong) == ("3", "0")
