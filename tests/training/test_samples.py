import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from langchain_core.messages import BaseMessage

from rsd_graph import Generation, RSDSettings, TokenUsage
from rsd_graph.data.problems import Problem, read_problems
from rsd_graph.data.solutions import Solution, read_solutions
from rsd_graph.errors import ConfigurationError
from rsd_graph.testing import ScriptedModel
from rsd_graph.training.labels import by_answer, by_continuation, by_first_error
from rsd_graph.training.pipeline import Folder, Options, sample_solutions
from rsd_graph.training.samples import sample, with_references

SETTINGS = RSDSettings(max_tokens=50)
QUIET = lambda _done, _total: None  # noqa: E731  # nobody watches


def test_problems_are_read_as_gsm8k_and_math_write_them(tmp_path: Path) -> None:
    """The answer behind ####, or bare."""
    file = tmp_path / "problems.jsonl"
    file.write_text('{"question": "2+2?", "answer": "Add.\\n#### 4"}\n{"problem": "3+3?", "answer": "6"}\n')
    assert read_problems(file) == [Problem("2+2?", "4"), Problem("3+3?", "6")]
    for content, message in (('{"question": "2+2?"}\n', "line 1"), ("", "no problem"), ("[]\n", "line 1")):
        file.write_text(content)
        with pytest.raises(ConfigurationError, match=message):
            read_problems(file)
    with pytest.raises(ConfigurationError, match="cannot read"):
        read_problems(tmp_path / "missing")


def test_sampling_goes_on_behind_a_kill(tmp_path: Path) -> None:
    """What is in the file is not asked for again; the line that the kill has cut is."""
    file = tmp_path / "solutions.jsonl"
    steps = [Generation("think", "delimiter"), Generation("\\boxed{4}", "eos", logprobs=(-0.5,))]
    problems = [Problem("2+2?", "4"), Problem("1+1?", "2")]
    asyncio.run(sample(ScriptedModel(steps), problems[:1], SETTINGS, file, QUIET))
    first = file.read_text()
    file.write_text(first + '{"problem": "1+1?", "corr')
    told: list[tuple[int, int]] = []
    asyncio.run(sample(ScriptedModel(steps), problems, SETTINGS, file, lambda *now: told.append(now)))
    assert file.read_text().startswith(first)
    assert told == [(1, 2), (2, 2)]
    found = {solution.problem: solution for solution in read_solutions(file)}
    assert [solution.correct for solution in found.values()] == [True, False]
    assert found["1+1?"].steps[1].logprobs == (-0.5,)


def test_labels_are_the_shares_of_continuations_that_end_right(tmp_path: Path) -> None:
    """Two behind the first step; the last step has the solution's own outcome. Nothing is asked for twice."""
    steps = (Generation("think", "delimiter"), Generation("\\boxed{5}", "eos"))
    solutions = [Solution("2+2?", steps, correct=False, reference="4")]
    model = ScriptedModel([Generation("\\boxed{4}", "eos"), Generation("\\boxed{5}", "eos")])
    file = tmp_path / "labels.jsonl"
    assert by_answer(solutions) == [[0.0, 0.0]]
    assert asyncio.run(by_continuation(model, solutions, 2, SETTINGS, file, QUIET)) == [[0.5, 0.0]]
    silent = ScriptedModel([])
    assert asyncio.run(by_continuation(silent, solutions, 2, SETTINGS, file, QUIET)) == [[0.5, 0.0]]


def test_a_larger_limit_goes_on(tmp_path: Path) -> None:
    """With the problems that the smaller one chose, and not more of them than asked for."""

    class Silent:
        def stage(self, name: str, done: float, total: float) -> None: ...

    problems = [Problem(f"{number}?", "4") for number in range(9)]
    folder = Folder(tmp_path / "work", Options(), {})

    def solved(limit: int, answers: int) -> list[str]:
        model = ScriptedModel([Generation("\\boxed{4}", "eos")] * answers)
        options = Options(limit=limit)
        found = asyncio.run(sample_solutions(model, problems, options, folder, Silent()))
        assert len(model.calls) == answers
        return [each.problem for each in found]

    few = solved(3, answers=3)
    assert solved(5, answers=2)[:3] == few
    assert solved(3, answers=0) == few


def test_the_right_answer_comes_from_the_problems() -> None:
    """Where the solutions do not say it; without either nothing could be labelled."""
    solutions = [Solution("2+2?", (), correct=True), Solution("3+3?", (), correct=True, reference="6")]
    found = with_references(solutions, [Problem("2+2?", "4")])
    assert [each.reference for each in found] == ["4", "6"]
    with pytest.raises(ConfigurationError, match="none is known of"):
        with_references(solutions, [])


def test_a_continuation_gets_what_the_solution_has_left(tmp_path: Path) -> None:
    """The token limit is one of the whole solution, recorded steps included."""
    step = Generation("think", "delimiter", TokenUsage(completion=50))
    solutions = [Solution("2+2?", (step, Generation("so", "length")), correct=False, reference="4")]
    model = ScriptedModel([Generation("\\boxed{4}", "eos")])
    file = tmp_path / "labels.jsonl"
    assert asyncio.run(by_continuation(model, solutions, 1, SETTINGS, file, QUIET)) == [[0.0, 0.0]]
    assert not model.calls


def test_the_first_error_is_found_by_halving(tmp_path: Path) -> None:
    """The target fails behind the third of five steps: three continuations say so. A hopeless problem tells nothing."""

    def target(messages: Sequence[BaseMessage], response: str, _settings: RSDSettings) -> Generation:
        right = "c\n\n" not in response and messages[-1].text == "2+2?"
        return Generation("\\boxed{4}" if right else "\\boxed{5}", "eos")

    model = ScriptedModel(target)
    steps = tuple(Generation(text, "delimiter") for text in ("a", "b", "c", "d", "\\boxed{5}"))
    solutions = [
        Solution("2+2?", steps, correct=False, reference="4"),
        Solution("hard?", steps[3:], correct=False, reference="4"),
        Solution("1+1?", steps[3:], correct=True, reference="5"),
    ]
    file = tmp_path / "labels.jsonl"
    expected = [[1.0, 1.0, 0.0, None, None], [None, None], [1.0, 1.0]]
    assert asyncio.run(by_first_error(model, solutions, SETTINGS, file, QUIET)) == expected
    asked = [response for _, response, _ in model.calls]
    assert sorted(asked) == ["", "", "a\n\nb\n\n", "a\n\nb\n\nc\n\n"]
    assert asyncio.run(by_first_error(ScriptedModel([]), solutions, SETTINGS, file, QUIET)) == expected


def test_a_folder_belongs_to_one_run(tmp_path: Path) -> None:
    """What would mix is refused by name; more problems, or another reading of them, go on. One run at a time."""
    folder = Folder(tmp_path / "work", Options(seed=1), {"problems": "a.jsonl"})
    again = Folder(tmp_path / "work", Options(seed=1, limit=20, family="probe"), {"problems": "a.jsonl"})
    with folder.alone(), pytest.raises(ConfigurationError, match="another run is at work"), again.alone():
        pass
    with pytest.raises(ConfigurationError, match="seed = 1, and this one has 2"):
        Folder(tmp_path / "work", Options(seed=2), {"problems": "a.jsonl"})
    (tmp_path / "work" / "run.json").write_text("{")
    with pytest.raises(ConfigurationError, match="cannot use the folder"):
        Folder(tmp_path / "work", Options(), {})
