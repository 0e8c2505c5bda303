"""Data sets by name and by file, in the formats of their publishers."""

import json
from pathlib import Path
from typing import Any

import pytest

from rsd_graph.data.choices import shuffled
from rsd_graph.data.datasets import DATASETS, load_problems
from rsd_graph.data.grading import grades, is_right, wrongly_graded
from rsd_graph.errors import ConfigurationError

HERE = Path(__file__).parents[3] / "shared" / "data"
FILES = sorted(file for file in HERE.glob("*.jsonl") if not file.stem.startswith("answer-"))
ROWS: dict[str, tuple[dict[str, Any], str]] = {
    "gsm8k": ({"question": "2+2?", "answer": "Four.\n#### 4"}, "4"),
    "math500": ({"problem": "2+2?", "answer": "4", "solution": r"\boxed{4}", "unique_id": "a/1", "level": 1}, "4"),
    "olympiadbench": ({"question": "2+2?", "context": "Add.", "final_answer": ["4"], "error": "0.1", "id": 7}, "4"),
    "minerva_math": ({"problem": "2+2?", "solution": r"It is \boxed{4}.", "idx": 3}, "4"),
    "cn_middle_school": ({"question": "2+2? A. 3 B. 4", "choice_answer": "B", "answer": "4"}, "B"),
    "aime24": ({"problem": "2+2?", "answer": 4.0, "id": 60}, "4"),
    "college_math": ({"question": "2+2?", "answer": "4"}, "4"),
}
MMLU = {"question": "2+2?", "choices": ["3", "4", "5", "6"], "answer": 1, "subject": "anatomy"}
GPQA = {"Question": "2+2?", "Correct Answer": "4", **{f"Incorrect Answer {n}": str(n + 4) for n in (1, 2, 3)}}


def write(tmp_path: Path, *rows: Any) -> str:
    file = tmp_path / "problems.jsonl"
    file.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return str(file)


@pytest.mark.skipif(not FILES, reason="the publishers' files are not here")
@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_a_publishers_file_loads_whole(file: Path) -> None:
    """Every line; and its own solutions grade as right."""
    problems = load_problems(str(file))
    assert len(problems) == sum(bool(line.strip()) for line in file.read_text().splitlines())
    assert list(wrongly_graded(problems)) == []


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("named", [True, False])
def test_each_format_is_read(tmp_path: Path, name: str, named: bool) -> None:
    """By the name of the data set, and by the fields."""
    row, answer = ROWS[name]
    (problem,) = load_problems(write(tmp_path, row), form=name if named else None)
    assert problem.answer == answer
    assert "2+2?" in problem.prompt
    assert grades(problem, problem.reference_solution)


@pytest.mark.parametrize("row", [MMLU, GPQA])
def test_choices_are_shuffled_by_the_seed(tmp_path: Path, row: dict[str, Any]) -> None:
    """The same seed gives the same order; the letter follows the right choice; letter and text both answer."""
    file = write(tmp_path, row)
    orders = {load_problems(file, seed=seed)[0].choices for seed in range(20)}
    assert len(orders) > 1
    (problem,) = load_problems(file, seed=3)
    assert problem == load_problems(file, seed=3)[0]
    assert problem.choices["ABCD".index(problem.answer)] == "4"
    assert f"({problem.answer}) 4" in problem.prompt
    for said in (problem.answer, f"({problem.answer})", rf"\text{{{problem.answer}}}", "4"):
        assert grades(problem, rf"\boxed{{{said}}}"), said
    wrong = next(letter for letter in "ABCD" if letter != problem.answer)
    assert not grades(problem, rf"\boxed{{{wrong}}}")


def test_a_number_may_be_near_where_the_publisher_says_so() -> None:
    assert is_right("3.1", "3.14", tolerance=0.05)
    assert not is_right("3.0", "3.14", tolerance=0.05)
    assert not is_right("3.1", "3.14")
    assert not is_right(None, "3.14", tolerance=5)


def test_a_broken_line_is_named_or_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"question": f"{number}+0?", "answer": str(number)} for number in range(316)]
    file = write(tmp_path, *rows, '{"question": "cut', {"question": "1+1?"}, {"question": "3?", "answer": "3"})
    with pytest.raises(ConfigurationError, match="line 317"):
        load_problems(file)
    assert len(load_problems(file, skip_broken=True)) == 317
    assert "line 317" in caplog.text
    assert "line 318" in caplog.text


def test_an_id_that_comes_twice_is_named(tmp_path: Path) -> None:
    file = write(tmp_path, *({"problem": "2?", "answer": "2", "id": "a"} for _ in range(2)))
    with pytest.raises(ConfigurationError, match="'a'"):
        load_problems(file)
    assert len(load_problems(file, skip_broken=True)) == 1


@pytest.mark.parametrize(
    ("source", "told"),
    [("gsm8", "did you mean gsm8k"), ("math-500", "did you mean math500"), ("xyzzy", "there are gsm8k"),
     ("gone.jsonl", "gone.jsonl"), ("college_math", "pass a file")],
)  # fmt: skip
def test_a_data_set_that_is_not_there_is_told(source: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        load_problems(source)


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no problem"):
        load_problems(write(tmp_path, ""))


@pytest.mark.parametrize(("choices", "right"), [(["a"], 0), (["a"] * 11, 0), (["a", "b"], 2), (["a", "b"], True)])
def test_what_is_no_choice_is_refused(choices: list[str], right: int) -> None:
    with pytest.raises(ValueError, match="choice"):
        shuffled(choices, right, "seed")


def test_every_data_set_of_the_paper_has_a_name() -> None:
    names = "gsm8k math500 olympiadbench gaokao2023en minerva_math mmlu_stem gpqa_diamond"
    assert set(names.split()) <= set(DATASETS)
