import asyncio
import json
from pathlib import Path

import pytest

from rsd_graph import Generation, RSDSettings, TokenUsage
from rsd_graph.data.problems import Problem
from rsd_graph.data.solutions import Solution, read_solutions
from rsd_graph.errors import ConfigurationError
from rsd_graph.testing import ScriptedModel
from rsd_graph.training.samples import sample, with_references

SETTINGS = RSDSettings(max_tokens=50)


def test_sampling_resumes_after_a_kill(tmp_path: Path) -> None:
    """What is in the file is not asked for again; the line that the kill has cut is."""
    file = tmp_path / "solutions.jsonl"
    steps = [Generation("think", "delimiter"), Generation("\\boxed{4}", "eos", logprobs=(-0.5,))]
    problems = [Problem("2+2?", "4"), Problem("1+1?", "2")]
    asyncio.run(sample(ScriptedModel(steps), problems[:1], SETTINGS, file))
    first = file.read_text()
    file.write_text(first + '{"problem": "1+1?", "corr')
    told: list[tuple[str, float, float]] = []
    asyncio.run(sample(ScriptedModel(steps), problems, SETTINGS, file, lambda *now: told.append(now)))
    assert file.read_text().startswith(first)
    assert told == [("solving problems", 1, 2), ("solving problems", 2, 2)]
    found = {solution.problem: solution for solution in read_solutions(file)}
    assert [solution.correct for solution in found.values()] == [True, False]
    assert found["1+1?"].steps[1].logprobs == (-0.5,)


def test_the_right_answer_comes_from_the_problems() -> None:
    """Where the solutions do not say it; without either nothing could be labelled."""
    solutions = [Solution("2+2?", (), correct=True), Solution("3+3?", (), correct=True, reference="6")]
    found = with_references(solutions, [Problem("2+2?", "4")])
    assert [each.reference for each in found] == ["4", "6"]
    with pytest.raises(ConfigurationError, match="not known for"):
        with_references(solutions, [])


def test_a_solution_is_written_with_its_answer_and_reference(tmp_path: Path) -> None:
    """The journal is a file of recorded solutions, one per problem."""
    file = tmp_path / "solutions.jsonl"
    model = ScriptedModel([Generation("\\boxed{5}", "eos", TokenUsage(prompt=9, completion=3), (-0.5,))])
    asyncio.run(sample(model, [Problem("2+2?", "4")], SETTINGS, file))
    assert json.loads(file.read_text()) == {
        "problem": "2+2?",
        "reference": "4",
        "answer": "5",
        "correct": False,
        "steps": [{"text": "\\boxed{5}", "finish": "eos", "tokens": 3, "logprobs": [-0.5]}],
    }
