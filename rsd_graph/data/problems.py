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
    """Read the problems in a file of JSON lines.

    Each line has `question` or `problem`, and `answer`: bare, or after `####` as in GSM8K.

    Raises:
        ConfigurationError: the file cannot be read or holds no problem, or a line is not a problem; the message names
            it.
    """
    problems = read_lines(file, "a problem; it needs `question` or `problem`, and `answer`", _problem)
    if not problems:
        raise ConfigurationError(f"{file} holds no problem")
    return problems


def _problem(record: Any) -> Problem:
    text = record.get("question") or record["problem"]
    if not isinstance(text, str) or not text.strip():
        raise TypeError("the problem must be a text that is not empty")
    if not isinstance(record["answer"], (str, int, float)):
        raise TypeError("`answer` must be a text or a number")
    return Problem(text, str(record["answer"]).split("####")[-1].strip())
