import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsd_graph import Generation, TokenUsage
from rsd_graph.data.solutions import (
    Solution,
    from_record,
    merge_cut_steps,
    read_solutions,
    split_by_problem,
    to_record,
)
from rsd_graph.errors import ConfigurationError

LOGPROBS = st.none() | st.lists(st.floats(-50, 0), max_size=3).map(tuple)
STEPS = st.builds(
    Generation,
    st.text(max_size=9),
    st.sampled_from(["delimiter", "eos", "length"]),
    st.builds(TokenUsage, completion=st.integers(0, 99)),
    LOGPROBS,
)
SOLUTIONS = st.builds(
    Solution,
    st.text(max_size=9),
    st.lists(STEPS, max_size=3).map(tuple),
    st.booleans(),
    st.text(max_size=3),
    st.none() | st.text(max_size=3),
)


@given(SOLUTIONS)
def test_a_solution_comes_back_as_it_was_written(solution: Solution) -> None:
    """Through JSON, with whatever is known of it."""
    line = json.dumps(to_record(solution))
    assert "\n" not in line
    found = from_record(json.loads(line))
    assert found == solution
    assert found.identity == solution.identity


def test_recorded_solutions_are_read(tmp_path: Path) -> None:
    """One JSON object per line, other keys ignored; a solution without steps is left out."""
    record = {"problem": "p", "correct": True, "steps": [{"text": "s", "finish": "eos", "logprobs": [-1]}], "more": 1}
    file = tmp_path / "solutions.jsonl"
    file.write_text(json.dumps(record) + "\n" + json.dumps(record | {"steps": []}) + "\n")
    assert read_solutions(file) == [Solution("p", (Generation("s", "eos", TokenUsage(completion=1), (-1.0,)),), True)]


def test_plain_steps_are_read(tmp_path: Path) -> None:
    """Texts alone, as other programs write them."""
    file = tmp_path / "solutions.jsonl"
    file.write_text(json.dumps({"problem": "2+2?", "correct": True, "steps": ["two and two", "4"]}) + "\n")
    (found,) = read_solutions(file)
    assert [step.text for step in found.steps] == ["two and two", "4"]
    assert found.steps[0].logprobs is None


def test_files_of_the_benchmark_are_read(tmp_path: Path) -> None:
    """Its lines have an author and a reward per step, a stop, a usage and a time."""
    step = {"text": "4", "author": "draft", "reward": 0.9, "finish": "eos", "tokens": 2, "logprobs": [-0.5, -0.1]}
    line = {"problem": "2+2?", "reference": "4", "answer": "4", "correct": True, "stop": "eos", "steps": [step]}
    file = tmp_path / "draft-only.jsonl"
    file.write_text(json.dumps({**line, "usage": {"draft": {"prompt": 9}}, "seconds": 1.5}) + "\n")
    expected = Generation("4", "eos", TokenUsage(completion=2), (-0.5, -0.1))
    assert read_solutions(file) == [Solution("2+2?", (expected,), True, "4", "4")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": "4"},
        {"problem": None},
        {"correct": "yes"},
        {"steps": [{"text": "4", "logprobs": [None]}]},
        {"steps": [{"text": 4}]},
        {"steps": [{"text": "4", "finish": "stop"}]},
        {"steps": [4]},
    ],
)
def test_what_is_no_solution_is_named(wrong: dict[str, object], tmp_path: Path) -> None:
    """A text instead of steps, a missing problem, a log-probability or an end that is none; with its line."""
    file = tmp_path / "solutions.jsonl"
    good = {"problem": "2+2?", "correct": True, "steps": ["4"]}
    file.write_text(json.dumps(good) + "\n" + json.dumps({**good, **wrong}) + "\n")
    with pytest.raises(ConfigurationError, match="line 2, is not a recorded solution"):
        read_solutions(file)


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    """File and line are in the message."""
    file = tmp_path / "solutions.jsonl"
    file.write_text('{"problem": "p"')
    with pytest.raises(ConfigurationError, match=r"solutions\.jsonl, line 1"):
        read_solutions(file)


def test_a_step_that_was_cut_is_one_with_what_follows() -> None:
    """As reward models see it: text, tokens and log-probabilities together."""
    cut = Generation("2 an", "length", TokenUsage(completion=2), (-0.1, -0.2))
    rest = Generation("d 2", "delimiter", TokenUsage(completion=1), (-0.3,))
    end = Generation("4", "length")
    found = merge_cut_steps(Solution("2+2?", (cut, rest, end), correct=True))
    whole = Generation("2 and 2", "delimiter", TokenUsage(completion=3), (-0.1, -0.2, -0.3))
    assert found.steps == (whole, end)
    (bare,) = merge_cut_steps(Solution("2+2?", (cut, Generation("d 2", "eos")), correct=True)).steps
    assert bare.logprobs is None


def test_the_identity_is_that_of_problem_text_and_cuts() -> None:
    """Files of hidden states and labels are named by it: it must not change from one version to the next."""
    solution = Solution("2+2?", (Generation("4", "eos"),), correct=True)
    assert solution.identity == "9bcb598c8f08ac475fd16d795a47af01"
    assert solution.identity == Solution("2+2?", (Generation("4", "eos", logprobs=(-1.0,)),), False, "4").identity
    others = [Solution("2+3?", solution.steps, True), Solution("2+2?", (Generation("4", "length"),), True)]
    assert len({each.identity for each in [solution, *others]}) == 3


def test_folds_keep_a_problem_together() -> None:
    """Every solution is held out once, and never beside another one of its problem."""
    solutions = [Solution(str(number % 5), (Generation(str(number), "eos"),), True) for number in range(10)]
    folds = split_by_problem(solutions, 3)
    assert sorted(each.identity for _, held_out in folds for each in held_out) == sorted(
        each.identity for each in solutions
    )
    for training, held_out in folds:
        assert len(training) + len(held_out) == 10
        assert {each.problem for each in training}.isdisjoint(each.problem for each in held_out)
