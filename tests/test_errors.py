import pickle
import re
from typing import Any

import pytest
from pydantic import BaseModel, Field, ValidationError, model_validator

from rsd_graph import RSDSettings, Step, errors
from rsd_graph.errors import ChecksumError, ModelUnavailableError, RSDError, describe


def drawn_tree() -> dict[str, str]:
    """Each class in the docstring's drawing, with the class above it."""
    assert errors.__doc__
    parents: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in errors.__doc__.splitlines():
        if found := re.match(r"    (?P<lead>[ │├└─]*)(?P<name>\w+Error)\b", line):
            depth = len(found["lead"])
            above = [each for each in above if each[0] < depth]
            parents[found["name"]] = above[-1][1] if above else "Exception"
            above.append((depth, found["name"]))
    return parents


def test_the_docstring_draws_the_tree_of_classes() -> None:
    """Every error class is in the drawing, below the class it derives from, and nothing else is."""
    classes = {
        name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)
    }
    assert drawn_tree() == {name: kind.__bases__[0].__name__ for name, kind in classes.items()}


@pytest.mark.parametrize("name", ["InvalidProblemError", "ConfigurationError"])
def test_wrong_values_are_value_errors_too(name: str) -> None:
    """Code that knows nothing of this package can catch them."""
    assert issubclass(getattr(errors, name), ValueError)


def test_every_class_says_what_it_means() -> None:
    """One line of docstring each, so that a traceback's reader can look it up."""
    assert all(getattr(errors, name).__doc__ for name in drawn_tree())


def test_an_error_has_no_steps_until_a_run_gives_it_some() -> None:
    """The steps belong to one error, never to the class."""
    first, second = RSDError("a"), ChecksumError("b")
    first.steps = [Step("kept", "draft")]
    assert (second.steps, RSDError.steps) == ((), ())


def test_an_error_survives_a_process_boundary() -> None:
    """With its message, its steps and what the server said: workers of a pool send errors by pickle."""
    error = ModelUnavailableError("busy")
    error.steps, error.retry_after, error.failing = [Step("kept", "draft", 0.5)], 2.5, True
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.steps, copy.retry_after, copy.failing) == ("busy", error.steps, 2.5, True)


class Inner(BaseModel, extra="forbid"):
    port: int = Field(default=1, ge=1)


class Outer(BaseModel):
    inner: Inner = Inner()
    numbers: list[int] = []
    needed: str

    @model_validator(mode="after")
    def _not_bad(self) -> "Outer":
        if self.needed == "bad":
            raise ValueError("Give something else")
        return self


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"needed": "x", "inner": {"port": 0}}, "inner.port: input should be greater than or equal to 1, got 0"),
        ({"needed": "x", "numbers": [1, "a"]}, r"numbers\.1: input should be a valid integer.*, got 'a'"),
        ({"needed": "x", "inner": {"prot": 1}}, "inner.prot: extra inputs are not permitted"),
        ({}, "needed: field required"),
        ({"needed": "bad"}, "the whole: give something else, got .*"),
        ({"inner": {"port": "z"}}, r"inner\.port: .*, got 'z'; needed: field required"),
    ],
)
def test_a_validation_error_is_described_in_one_line(value: Any, expected: str) -> None:
    """Each wrong value by its path, what is allowed, and what was given where that helps."""
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(value)
    assert re.fullmatch(expected, describe(caught.value))


def test_a_long_value_is_cut_in_the_description() -> None:
    """A pasted document does not become an error message."""
    with pytest.raises(ValidationError) as caught:
        RSDSettings.model_validate({"weighting": "x" * 1000})
    assert len(describe(caught.value)) < 250
