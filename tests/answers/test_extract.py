import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsd_graph.answers import extract_answer


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (r"so \boxed{18}", "18"),
        (r"first \boxed{1}, then \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"a set \boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{7} and an unfinished \boxed{8", "7"),
        (r"a box within a box: \boxed{a \boxed{b} c}", "b"),
        (r"spelled \fboxed {9}, and a stray } after it", "9"),
        (r"an empty \boxed{} leaves the phrase: the answer is 6.", "6"),
        ("The final answer is $5$.", "5"),
        ("**Answer:** 12 apples", "12 apples"),
        ("The answer is **5**.", "5"),
        ("**Final Answer:** **5**", "5"),
        ("The answer is: **$5$**.", "5"),
        ("The final answer is:\n\\[ 7 \\]", "7"),
        ("The answer is 4.\nNo: the answer is 5.", "5"),
        ("work work\n#### 1,200", "1,200"),
        ("the answer is 3\n#### 4", "4"),
        ("She has 3 boxes of 4, so 12.", "12"),
        ("-3.5 degrees", "-3.5"),
        ("between 1,234,567 and 7/8", "7/8"),
        (r"\boxed{}", None),
        ("the answer is **", None),
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


@given(st.text(alphabet="abc 12+-=^_,.()$"), st.text(alphabet="abc {}$\n12"))
def test_a_box_is_found_whatever_comes_before_it(content: str, before: str) -> None:
    """Text before the box, open braces included, changes neither which box is found nor its content."""
    expected = content.strip()
    if expected:
        assert extract_answer(f"{before}\\boxed{{{content}}}") == expected


@given(st.text(alphabet="\\boxed{}$*#.answer is:=0123456789,/-\n "))
def test_an_answer_is_a_part_of_the_response(response: str) -> None:
    """Whatever the text, extraction ends, and never returns an empty answer or one that the response lacks."""
    answer = extract_answer(response)
    assert answer is None or (answer and answer in response)
