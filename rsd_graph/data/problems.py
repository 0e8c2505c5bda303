"""Problems whose answers are known, as JSON lines."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsd_graph._internal.files import read_lines
from rsd_graph.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem whose answer is known."""

    text: str
    answer: str


def read_problems(file: Path) -> list[Problem]:
    """The problems in a file of JSON lines: `question` or `problem`, and `answer`, behind `####` as in GSM8K or bare.

    Raises:
        ConfigurationError: the file cannot be read, or a line is no such problem; the message names it.
    """
    problems = read_lines(file, "a problem; it needs `question` or `problem`, and `answer`", _problem)
    if not problems:
        raise ConfigurationError(f"{file} holds no problem")
    return problems


def _problem(record: Any) -> Problem:
    text = record.get("question") or record["problem"]
    if not isinstance(text, str) or not text.strip():
        raise TypeError("the problem is a text, and not an empty one")
    if not isinstance(record["answer"], (str, int, float)):
        raise TypeError("`answer` is a text or a number")
    return Problem(text, str(record["answer"]).split("####")[-1].strip())
