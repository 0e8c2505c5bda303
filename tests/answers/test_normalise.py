import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsd_graph.answers.normalise import normalise, unwrap


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("70,000", "70000"),
        ("1,234,567.5", "1234567.5"),
        ("1,2", "1,2"),
        ("(1, 200)", "(1, 200)"),
        ("(1,200)", "(1,200)"),
        (r"\$18", "18"),
        ("$x + 1$", "x + 1"),
        (" 42. ", "42"),
        ("1 2", "1 2"),
        ("", ""),
    ],
)
def test_spelling_is_reduced(answer: str, expected: str) -> None:
    """Thousands separators, dollar signs and a final full stop go; a list of numbers stays a list."""
    assert normalise(answer) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("5", "5"),
        ("**5**.", "5"),
        ("$5$", "5"),
        (r"**\(5\)**", "5"),
        (r"\[ $\frac{1}{2}$ \]", r"\frac{1}{2}"),
        ("2 * 3", "2 * 3"),
        ("$1 and $2", "$1 and $2"),
        ("$1$ and $2$", "$1$ and $2$"),
        ("$", "$"),
        ("**", ""),
    ],
)
def test_wrapping_is_removed(answer: str, expected: str) -> None:
    """Emphasis, math delimiters and the full stop around an answer go, however nested; what is inside stays."""
    assert unwrap(answer) == expected


@given(st.text(alphabet="x1 .*$\\()[]"))
def test_an_unwrapped_answer_has_no_wrapping_left(answer: str) -> None:
    """Unwrapping again changes nothing."""
    assert unwrap(unwrap(answer)) == unwrap(answer)
