import pytest

from rsd_graph.answers import same_answer


@pytest.mark.parametrize(
    ("answer", "reference", "same"),
    [
        ("18", "18", True),
        ("0.5", r"\frac{1}{2}", True),
        ("70,000", "70000", True),
        (r"\$18.00", "18", True),
        (r"2\sqrt{2}", r"\sqrt{8}", True),
        ("1 2", "12", False),
        ("17", "18", False),
        ("", "18", False),
        (None, "18", False),
    ],
)
def test_answers_are_compared_as_mathematics(answer: str | None, reference: str, same: bool) -> None:
    """Spelling does not matter, value does."""
    assert same_answer(answer, reference) is same


def test_a_comparison_that_hangs_or_dies_is_not_the_same_answer() -> None:
    """A tower of powers hangs sympy, five thousand braces its parser; the next comparison works again."""
    assert not same_answer("10^{10^{10^{10}}}", "3", timeout=1)
    assert not same_answer("{" * 5000, "3", timeout=1)
    assert same_answer("0.5", r"\frac{1}{2}")
