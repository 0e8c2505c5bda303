import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsd_graph.answers.spelling import spell


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (r"\left( 1, \dfrac{2}{3} \right)", r"( 1, \frac{2}{3} )"),
        (r"x \leqslant 2", "x ≤ 2"),
        ("x <= 2", "x ≤ 2"),
        (r"\text{5 apples}", "5 apples"),
        (r"5\mathrm{~cm}", "5 cm"),
        (r"90^{\circ}", "90°"),
        (r"12{,}000", "12000"),
        ("12 000", "12000"),
        ("2¾", r"2\frac{3}{4}"),
        ("x² + √2", r"x^{2} + \sqrt[2]{2}"),
        (r"\boxed{\textbf{7}}", "7"),
        (r"\$5", "5 dollars"),
        ("3 million", "3*1000000"),
        ("x**2", "x^2"),
        (r"\{1, 2\}", "⦃1, 2⦄"),
        ("**7**.", "7"),
        ("", ""),
    ],
)
def test_one_spelling(answer: str, expected: str) -> None:
    """LaTeX, Unicode and plain text for the same thing become the same text."""
    assert spell(answer) == expected


@given(st.text())
def test_any_text_can_be_spelled(answer: str) -> None:
    """No text makes it fail, and nothing is left around the result."""
    assert spell(answer) == spell(answer).strip()
