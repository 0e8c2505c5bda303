import pytest

from rsd_graph.answers import extract_answer, same_answer


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (r"so \boxed{18}", "18"),
        (r"first \boxed{1}, then \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"a set \boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{7} and an unfinished \boxed{8", "7"),
        ("The final answer is $5$.", "5"),
        ("**Answer:** 12 apples", "12 apples"),
        ("The answer is **5**.", "5"),
        ("**Final Answer:** **5**", "5"),
        ("The answer is: **$5$**.", "5"),
        ("The final answer is:\n\\[ 7 \\]", "7"),
        ("work work\n#### 1,200", "1,200"),
        ("She has 3 boxes of 4, so 12.", "12"),
        ("-3.5 degrees", "-3.5"),
        (r"\boxed{}", None),
        ("no number at all", None),
        ("", None),
    ],
)
def test_the_final_answer_is_found(response: str, answer: str | None) -> None:
    """The last complete box wins; then the usual phrases; then the last number."""
    assert extract_answer(response) == answer


def test_extraction_of_hostile_text_ends() -> None:
    """A million braces and a hundred thousand open boxes are read once; a scan for each would take days."""
    assert extract_answer("\\boxed{" * 100_000) is None
    assert extract_answer("{" * 1_000_000 + "\\boxed{3}") == "3"
    assert extract_answer("answer:" + "\n" * 1_000_000) is None
    assert extract_answer("answer" + " *" * 1_000_000) is None
    assert extract_answer("the answer is " + "$" * 100_000) is None


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
