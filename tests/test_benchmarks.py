import asyncio
import re
import runpy
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from rsd_graph import Generation, TokenUsage, Usage, create_rsd_graph
from rsd_graph.data.problems import Problem
from rsd_graph.errors import ConfigurationError, ModelUnreachableError
from rsd_graph.evaluation.comparison import Run, Solved
from rsd_graph.models.http import ModelCard
from rsd_graph.presets import PRESETS
from rsd_graph.testing import ScriptedModel, ScriptedReward

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def test_the_throughput_benchmark_loses_no_step() -> None:
    """Its scripted servers understand the clients, and every problem gets its own answer."""
    measure = runpy.run_path(str(BENCHMARKS / "throughput.py"))["measure"]
    problems, *_, wrong = asyncio.run(measure(3, 0.01))
    assert (problems, wrong) == ("3", "0")


def test_the_embedded_benchmark_counts_and_compares(capsys: pytest.CaptureFixture[str]) -> None:
    """A single model's tokens are the target's; where two ways of RSD differ, the report says so."""
    module = runpy.run_path(str(BENCHMARKS / "embedded.py"))
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


@pytest.fixture(scope="module")
def reproduce() -> dict[str, Any]:
    return runpy.run_path(str(BENCHMARKS / "reproduce.py"))


def solved(right: int, total: int) -> Run:
    one = Solved(right=True, seconds=1.0, usage=Usage(), parameters=None)
    each = {str(number): replace(one, right=number < right) for number in range(total)}
    return Run("gsm8k", "target", each, {"draft": "d", "target": "t", "reward": "r"})


def test_the_reproduction_puts_ours_beside_the_papers(reproduce: dict[str, Any]) -> None:
    """A line for each row and data set that was run: accuracy, Wilson interval, the paper's, and the difference."""
    rows, place = reproduce["ROWS"], reproduce["place"]
    runs = {place(rows["72b"], "gsm8k", "paper"): solved(90, 100), place(rows["7b"], "gsm8k", "paper"): solved(4, 4)}
    table = reproduce["compared"](rows, ["math500", "gsm8k"], runs)
    assert table.rows == [
        ["Qwen2.5-Math-7B-Instruct alone", "gsm8k", 4, "100.0", "51.0", "100.0", "95.7", "+4.3", "t"],
        ["Qwen2.5-Math-72B-Instruct alone", "gsm8k", 100, "90.0", "82.6", "94.5", "95.8", "-5.8", "t"],
    ]
    assert "NOT" not in table.about


def test_the_embedded_pair_runs_each_strategy_once(reproduce: dict[str, Any]) -> None:
    """Rows that differ in their models share its run, and the table says whose figures they are not."""
    rows, place = reproduce["ROWS"], reproduce["place"]
    runs = {place(row, "gsm8k", "embedded"): solved(1, 2) for row in rows.values()}
    assert len(runs) == 2
    table = reproduce["compared"](rows, ["gsm8k"], runs, "embedded")
    assert [line[-1] for line in table.rows] == ["t", "d / t / r", "d / t / r", "t", "d / t / r"]
    assert "NOT of the models that the rows name" in table.about


def test_the_rows_of_the_reproduction_are_the_papers(reproduce: dict[str, Any]) -> None:
    """As the documentation has them, and with a preset that serves the models of each title."""
    page = (BENCHMARKS.parent / "docs" / "benchmarks.md").read_text()
    lines = [[cell.strip() for cell in line.split("|")] for line in page.splitlines()]
    for row in reproduce["ROWS"].values():
        (line,) = (line for line in lines if len(line) > 1 and line[1].startswith(row.title))
        assert line[2:-1] == [str(figure) for figure in row.paper]
        roles = ("draft", "target", "reward") if "/" in row.title else ("target",)
        served = [re.findall(r"[\d.]+B", PRESETS[row.preset][role]["model"]) for role in roles]
        assert served == [[size] for size in re.findall(r"[\d.]+B", row.title)]


def test_the_reproduction_finds_the_publishers_files(reproduce: dict[str, Any], tmp_path: Path) -> None:
    """By the name of the data set: a slice of the test set is taken, the training set never, two are refused."""
    for name in ("gsm8k-train", "gsm8k-test-200"):
        (tmp_path / f"{name}.jsonl").touch()
    file_of = reproduce["file_of"]
    assert file_of(tmp_path, "gsm8k").name == "gsm8k-test-200.jsonl"
    with pytest.raises(ConfigurationError, match=r"one file for math500, such as math500\.jsonl; there is none"):
        file_of(tmp_path, "math500")
    (tmp_path / "gsm8k-2.jsonl").touch()
    with pytest.raises(ConfigurationError, match=r"there is gsm8k-2\.jsonl, gsm8k-test-200\.jsonl"):
        file_of(tmp_path, "gsm8k")
    (tmp_path / "gsm8k.jsonl").touch()
    assert file_of(tmp_path, "gsm8k").name == "gsm8k.jsonl"


@pytest.mark.parametrize("wrong", [ModelUnreachableError("no answer"), ModelCard(id="another")])
def test_the_reproduction_says_which_servers_it_needs(
    reproduce: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], wrong: Any
) -> None:
    """Where none answers, or one holds another model; for every row that is asked for."""

    async def card(*_: Any, **__: Any) -> ModelCard:
        if isinstance(wrong, Exception):
            raise wrong
        return cast("ModelCard", wrong)

    monkeypatch.setitem(reproduce["reach"].__globals__, "model_card", card)
    monkeypatch.setattr(sys, "argv", ["reproduce.py", "--rows", "7b", "rsd-72b", "--data", "gsm8k"])
    assert reproduce["main"]() == 1
    told = capsys.readouterr().err
    for preset in ("qwen2.5-math-7b", "qwen2.5-math-72b"):
        assert f"Start the servers with `rsd serve --preset {preset}`" in told
