from pathlib import Path

import pytest

from rsd_graph.data.problems import Problem, read_problems
from rsd_graph.errors import ConfigurationError


def test_problems_are_read_as_gsm8k_and_math_write_them(tmp_path: Path) -> None:
    """The answer after ####, or bare; a number is as good as a text."""
    file = tmp_path / "problems.jsonl"
    file.write_text(
        '{"question": "2+2?", "answer": "Add.\\n#### 4"}\n\n{"problem": "3+3?", "answer": "6"}\n'
        '{"question": "", "problem": "4+4?", "answer": 8}\n'
    )
    assert read_problems(file) == [Problem("2+2?", "4"), Problem("3+3?", "6"), Problem("4+4?", "8")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"question": "2+2?"}\n', "line 1"),
        ("", "holds no problem"),
        ("[]\n", "line 1"),
        ('{"problem": "1+1?", "answer": "2"}\n{"problem": " ", "answer": "2"}\n', "line 2.* not empty"),
        ('{"problem": ["1+1?"], "answer": "2"}\n', "line 1"),
    ],
)
def test_what_is_no_problem_is_named(content: str, message: str, tmp_path: Path) -> None:
    """Without an answer, without any problem, of another type, or blank."""
    file = tmp_path / "problems.jsonl"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=message):
        read_problems(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """As one that cannot be read."""
    with pytest.raises(ConfigurationError, match=r"cannot read .*missing"):
        read_problems(tmp_path / "missing")
