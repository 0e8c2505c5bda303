"""How publishers write problems down: one function a format, from a row to a `Problem`.

A function may raise ValueError, KeyError, TypeError or AttributeError for a row that is not of its format. `seed`
decides the order of choices.
"""

from collections.abc import Callable, Mapping
from typing import Any

from rsd_graph.answers.boxes import last_boxed
from rsd_graph.data.choices import shuffled
from rsd_graph.data.problems import Problem

Row = Mapping[str, Any]
Format = Callable[[Row, int], Problem]


def gsm8k(row: Row, seed: int) -> Problem:  # noqa: ARG001  # there are no choices
    """`question`, and `answer`: a worked solution with the number after `####`."""
    worked, mark, answer = _text(row, "answer").rpartition("####")
    if not mark:
        raise ValueError("`answer` has no `####` before the number")
    return Problem(_text(row, "question"), _said(answer), id=_id(row, "idx"), solution=f"{worked}#### {_said(answer)}")


def math(row: Row, seed: int) -> Problem:  # noqa: ARG001
    """`problem`, `answer` in LaTeX, and `solution` with the answer in its last box."""
    return Problem(
        _text(row, "problem"),
        _said(row["answer"]),
        id=_id(row, "unique_id"),
        solution=_text(row, "solution"),
        subject=str(row.get("subject") or ""),
    )


def boxed(row: Row, seed: int) -> Problem:  # noqa: ARG001
    """`problem`, and `solution` with the answer in its last box; no `answer`."""
    solution = _text(row, "solution")
    answer = last_boxed(solution)
    if answer is None:
        raise ValueError("`solution` has no \\boxed{} with the answer")
    return Problem(
        _question(row), _said(answer), id=_id(row, "idx", "id"), solution=solution, subject=str(row.get("type") or "")
    )


def olympiadbench(row: Row, seed: int) -> Problem:  # noqa: ARG001
    """`question` after `context`, `final_answer` as a list of one, `unit`, and `error`: the tolerance."""
    answers = row["final_answer"]
    if not isinstance(answers, list) or not answers:
        raise TypeError("`final_answer` must be a list with an answer")
    context = row.get("context") or ""
    error = row.get("error")
    return Problem(
        f"{context}\n\n{_text(row, 'question')}".strip(),
        _said(", ".join(map(str, answers))),
        id=_id(row, "id"),
        tolerance=float(error) if error else None,
        subject=str(row.get("subfield") or ""),
    )


def mmlu(row: Row, seed: int) -> Problem:
    """`question`, `choices`, and `answer`: the index of the right one, from 0."""
    text, choices = _text(row, "question"), row["choices"]
    if not isinstance(choices, list):
        raise TypeError("`choices` must be a list")
    shown, letter = shuffled([str(choice).strip() for choice in choices], row["answer"], f"{seed}/{text}")
    return Problem(
        text, letter, id=_id(row, "id"), choices=shown, subject=str(row.get("type") or row.get("subject") or "")
    )


def gpqa(row: Row, seed: int) -> Problem:
    """`Question`, `Correct Answer`, and `Incorrect Answer 1` to `3`."""
    names = ("Correct Answer", *(f"Incorrect Answer {number}" for number in (1, 2, 3)))
    text, choices = _text(row, "Question"), [_text(row, name).strip() for name in names]
    shown, letter = shuffled(choices, 0, f"{seed}/{text}")
    return Problem(text, letter, id=_id(row, "Record ID"), choices=shown, subject=str(row.get("Subdomain") or ""))


def middle_school(row: Row, seed: int) -> Problem:  # noqa: ARG001
    """`question` with its choices in the text, `choice_answer`: the letter, if there are any, and `answer`."""
    return Problem(_question(row), _said(row.get("choice_answer") or row["answer"]), id=_id(row, "id", "idx"))


def plain(row: Row, seed: int) -> Problem:  # noqa: ARG001
    """`question` or `problem`, and `answer`."""
    solution = row.get("solution")
    return Problem(
        _question(row),
        _said(row["answer"]),
        id=_id(row, "id", "unique_id", "idx", "source", "question_number"),
        solution=solution if isinstance(solution, str) and last_boxed(solution) is not None else "",
    )


FIELDS: dict[str, Format] = {
    "Correct Answer": gpqa,
    "final_answer": olympiadbench,
    "choices": mmlu,
    "choice_answer": middle_school,
}
"""Names of fields that only one format has."""


def any_format(row: Row, seed: int) -> Problem:
    """The format that the names of the row's fields say."""
    special = next((form for name, form in FIELDS.items() if name in row), None)
    if special:
        return special(row, seed)
    if "answer" not in row:
        return boxed(row, seed)
    return (gsm8k if isinstance(row["answer"], str) and "####" in row["answer"] else plain)(row, seed)


def _question(row: Row) -> str:
    return _text(row, next((name for name in ("question", "problem", "Question") if row.get(name)), "question"))


def _text(row: Row, name: str) -> str:
    value = row[name]
    if not isinstance(value, str) or not value.strip():
        raise TypeError(f"`{name}` must be a text that is not empty")
    return value


def _said(answer: Any) -> str:
    """The answer as a text; a whole number that a table holds as 27.0 is 27."""
    if isinstance(answer, bool) or not isinstance(answer, (str, int, float)):
        raise TypeError("the answer must be a text or a number")
    text = str(int(answer)) if isinstance(answer, float) and answer.is_integer() else str(answer).strip()
    if not text:
        raise ValueError("the answer is empty")
    return text


def _id(row: Row, *names: str) -> str:
    """The row's own id under the first of these names; empty without one."""
    return next((str(row[name]) for name in names if row.get(name) not in (None, "")), "")
