"""Problems whose answers are known, as JSON lines."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsd_graph._internal.files import read_lines
from rsd_graph.data.choices import LETTERS
from rsd_graph.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem whose answer is known."""

    text: str
    answer: str
    """The reference; for a problem with choices, the letter of the right one."""
    id: str = ""
    """What its publisher calls it; unique in its data set."""
    choices: Sequence[str] = ()
    """The choices in the order in which they are shown; none for a problem with a free answer."""
    solution: str = ""
    """The publisher's worked solution, if it says the answer where a model's solution would."""
    tolerance: float | None = None
    """How far a number may be from the reference; None for not at all."""
    subject: str = ""

    @property
    def prompt(self) -> str:
        """The problem as a model is asked: with its choices, if it has any."""
        if not self.choices:
            return self.text
        listed = "\n".join(f"({letter}) {choice}" for letter, choice in zip(LETTERS, self.choices, strict=False))
        return f"{self.text}\n\n{listed}\n\nAnswer with the letter of the right choice."

    @property
    def reference_solution(self) -> str:
        """The worked solution, or else the bare answer, as a model would write it."""
        return self.solution or f"\\boxed{{{self.answer}}}"


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
