import asyncio
import json
import runpy
from pathlib import Path

import pytest

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


def test_the_embedded_benchmark_counts_and_compares(capsys: pytest.CaptureFixture[str]) -> None:
    """A single model's tokens are the target's; where two ways of RSD differ, the report says so."""
    module = runpy.run_path(str(GSM8K.with_name("embedded.py")))
    wrote = Generation("\\boxed{4}", "eos", TokenUsage(prompt=10, completion=3))
    other = Generation("\\boxed{5}", "eos", TokenUsage(prompt=10, completion=4))
    alone = create_rsd_graph(ScriptedModel([wrote] * 2), ScriptedModel([]), module["Unasked"]())
    kept = create_rsd_graph(ScriptedModel([wrote] * 2), ScriptedModel([]), ScriptedReward([0.9] * 2))
    replaced = create_rsd_graph(ScriptedModel([wrote] * 2), ScriptedModel([other] * 2), ScriptedReward([0.1] * 2))
    problems = [Problem("2+2?", "4"), Problem("1+3?", "4")]
    records = []
    for name, graph in (("target", alone), ("rsd", kept), ("rsd-whole", replaced)):
        solved = asyncio.run(module["solve_all"](module["Way"](graph, {"threshold": 0.7}), problems, 2))
        records.append({"way": name, "chunk": 0, **solved})
    assert [each["correct"] for each in records[2]["solved"]] == [False, False]
    assert records[1]["solved"][0]["accepted"] == [0.9]
    assert module["usage_of"](records[0]["solved"][0]["usage"], "target").target.completion == 3
    module["report"](records, ["target", "rsd", "rsd-whole"])
    assert "the same text by the same authors for 0 of 2 problems" in capsys.readouterr().out
