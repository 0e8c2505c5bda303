import asyncio
from collections.abc import Sequence
from pathlib import Path

from langchain_core.messages import BaseMessage

from rsd_graph import Generation, RSDSettings, TokenUsage
from rsd_graph.data.solutions import Solution
from rsd_graph.testing import ScriptedModel
from rsd_graph.training.labels import by_answer, by_continuation, by_first_error

SETTINGS = RSDSettings(max_tokens=50)


def test_labels_are_the_shares_of_continuations_that_end_right(tmp_path: Path) -> None:
    """Two after the first step; the last step has the solution's own outcome. Nothing is asked for twice."""
    steps = (Generation("think", "delimiter"), Generation("\\boxed{5}", "eos"))
    solutions = [Solution("2+2?", steps, correct=False, reference="4")]
    model = ScriptedModel([Generation("\\boxed{4}", "eos"), Generation("\\boxed{5}", "eos")])
    file = tmp_path / "labels.jsonl"
    assert by_answer(solutions) == [[0.0, 0.0]]
    assert asyncio.run(by_continuation(model, solutions, 2, SETTINGS, file)) == [[0.5, 0.0]]
    silent = ScriptedModel([])
    assert asyncio.run(by_continuation(silent, solutions, 2, SETTINGS, file)) == [[0.5, 0.0]]


def test_a_continuation_gets_what_the_solution_has_left(tmp_path: Path) -> None:
    """The token limit is that of the whole solution, recorded steps included."""
    step = Generation("think", "delimiter", TokenUsage(completion=50))
    solutions = [Solution("2+2?", (step, Generation("so", "length")), correct=False, reference="4")]
    model = ScriptedModel([Generation("\\boxed{4}", "eos")])
    file = tmp_path / "labels.jsonl"
    assert asyncio.run(by_continuation(model, solutions, 1, SETTINGS, file)) == [[0.0, 0.0]]
    assert not model.calls


def test_the_first_error_is_found_by_binary_search(tmp_path: Path) -> None:
    """The target fails after the third of five steps: three continuations show it. Hopeless problems get no label."""

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
    assert asyncio.run(by_first_error(model, solutions, SETTINGS, file)) == expected
    asked = [response for _, response, _ in model.calls]
    assert sorted(asked) == ["", "", "a\n\nb\n\n", "a\n\nb\n\nc\n\n"]
    assert asyncio.run(by_first_error(ScriptedModel([]), solutions, SETTINGS, file)) == expected
