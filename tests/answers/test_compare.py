import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsd_graph.answers import same_answer

SAME = {
    "spelling": [
        ("18", r"\boxed{18}"),
        ("0.5", r"\frac12"),
        ("70,000", "70000"),
        (r"\$18.00", "18"),
        ("−4", "-4"),
        ("½", ".5"),
        (r"3\;", r"\displaystyle 3"),
        ("**21**", r"\text{21}"),
        (r"{\rm e}^2", "e^2"),
    ],
    "plain text": [
        ("sqrt(5)/2", r"\frac{\sqrt5}{2}"),
        ("x**3", "x^3"),
        ("2*pi", r"2\pi"),
        ("exp(3)+1", "1+e^3"),
        ("7*I", "7i"),
        ("-inf", r"-\infty"),
        ("2e5", r"2\times 10^5"),
        ("3 sqrt 2", r"\sqrt{18}"),
    ],
    "thousands": [
        (r"12\,500", "12500"),
        ("9{,}000{,}000", "9 000 000"),
        ("1.234.567", "1234567"),
        (r"2{,}500\text{ m}", "2500"),
    ],
    "mixed numbers": [
        ("5 1/4", "21/4"),
        (r"2\tfrac{1}{2}", "2.5"),
        (r"1\text{ and }\frac{1}{3}", "4/3"),
        ("-1½", "-1.5"),
    ],
    "units": [
        ("7", "7 kg"),
        ("7", "7 sheep"),
        ("7", r"7\ \mathrm{m/s^2}"),
        ("7", "€7"),
        ("60^\\circ", "60"),
        ("45%", "45"),
        ("45%", "0.45"),
        ("2 m", "200 cm"),
        ("1 hour 30 minutes", "1.5 hours"),
        ("3 cats and 4 dogs", "3, 4"),
    ],
    "words": [("an ellipse", r"\text{Ellipse}"), ("YES", "yes"), ("twelve", "12"), ("no solution", r"\emptyset")],
    "choices": [("C", "(C)"), ("C", "C) 12"), (r"\textbf{(C)}\ 12", "c"), ("C", "option C"), ("A, C", "AC")],
    "intervals": [
        ("(2, 7]", r"2 < x \le 7"),
        (r"t \in [0,\infty)", r"t \ge 0"),
        (r"\{y \mid y < 1\}", r"(-\infty,1)"),
        (r"x < 0 \text{ or } x > 1", r"(-\infty,0)\cup(1,\infty)"),
        (r"x \ne 3", r"\mathbb{R}\setminus\{3\}"),
        ("3 > x", "x < 3"),
    ],
    "lists, sets, tuples": [
        ("2, 5 and 8", "8, 5, 2"),
        (r"\{1, 4\}", "x = 4 or x = 1"),
        ("(3, 0.5)", r"x=3, y=\frac12"),
        (r"\pm 6", "6, -6"),
        (r"4 \pm \sqrt2", r"4-\sqrt2, 4+\sqrt2"),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\langle 1, 2 \rangle"),
        ("(1,2),(3,4)", "(3,4),(1,2)"),
    ],
    "equations": [
        ("y = 3x - 6", "x = y/3 + 2"),
        ("a = 9", "9"),
        ("f(t) = t^2", "f(x) = x^2"),
        ("4 + 5 = 9", "9"),
        (r"\angle B = 40^\circ", "40"),
    ],
    "expressions": [
        (r"\cos 2x", r"1-2\sin^2 x"),
        (r"\frac{1}{\sqrt{m}}", r"\sqrt{1/m}"),
        (r"\sin 150^\circ", "1/2"),
        (r"\binom{6}{2}", "15"),
        (r"0.\overline{27}", "3/11"),
        ("0.142857142857", "1/7"),
        (r"\sum_{k=1}^{n} k", r"\frac{n(n+1)}{2}"),
    ],
    "bases and ratios": [("1101_2", "13"), (r"1F_{16}", r"31_{10}"), ("3:4", "6:8"), ("9:30 am", "9:30 AM")],
}
DIFFERENT = {
    "spelling": [("1 2", "12"), ("17", "18"), ("(1,200)", "(1200)")],
    "braces": [
        (r"\frac{1}{23}", r"\frac{12}{3}"),
        (r"\frac{a}{bc}", r"\frac{ab}{c}"),
        (r"\sqrt{2}x", r"\sqrt{2x}"),
        ("e^{2}x", "e^{2x}"),
        ("x^{2y}", "x^2y"),
        ("10^{2}3", "10^{23}"),
        (r"1.\overline{23}", r"1.\overline{2}3"),
        (r"\overline{AB}C", r"\overline{ABC}"),
    ],
    "rows and columns": [(r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1&2\end{pmatrix}")],
    "dates": [("2024-01-02", "2024-02-01")],
    "leading number": [
        ("6", r"6\sqrt2"),
        ("6", "6 sqrt(2)"),
        ("6", r"6\arctan(2)"),
        ("6", "at least 6"),
        ("6", "6 to 9"),
        ("6", "6 or more"),
        ("6", "6 is wrong"),
        ("6", "6x"),
        ("6", "6…"),
        ("6", r"6\infty"),
        ("6", "6 million"),
    ],
    "tiny values": [
        (r"\frac{1}{30!}", r"\frac{1}{31!}"),
        ("2^{-70}", "2^{-71}"),
        ("1e-12", "0"),
        (r"4.1\times10^{-21}", r"4.2\times10^{-21}"),
        (r"\frac{2^{900}+1}{2^{901}}", r"\frac12"),
    ],
    "rounded values": [("0.33", "1/3"), ("3.14", r"\pi"), ("1.0000001", "1")],
    "upright constants": [
        (r"\frac{3}{\mathrm{e}}", r"\frac{3}{\mathrm{e}^2}"),
        (r"2-\mathrm{i}", r"2+\mathrm{i}"),
        (r"\frac{1}{\mathrm{n}}", "1"),
    ],
    "words": [("no", "on"), ("was", "saw"), ("true", "false"), ("ABC", "CAB"), ("north", "thorn")],
    "choices": [("B", "C"), ("B", "C) B"), ("(A) 5", "(B) 5")],
    "intervals": [("(2,7)", "(2,7]"), ("x>2", "y>2"), ("(2,7)", "[2,7]"), ("x > 2", "x < 2")],
    "lists, sets, tuples": [
        (r"\{1,4\}", "(1,4)"),
        ("(1,4)", "(4,1)"),
        ("1,4", "1"),
        ("1,4", "1.4"),
        (r"\pm 6", "6"),
        ("(1,4)", "1+4i"),
        ("x=1, y=2", "x=2, y=1"),
        (r"1,2,\ldots,n", r"1,3,\ldots,n"),
    ],
    "equations": [("x = 9", "y = 9"), ("2x+y=0", "0"), ("y = 2x", "y = 3x")],
    "expressions": [("|x|", "x"), ("3x", "3y"), (r"a_1", r"a_2"), ("x+y", "x-y")],
    "units": [("2 m", "2 s"), ("90", "1.5 hours"), ("4 cm^2", "4 cm")],
    "bases and ratios": [("101_2", "101_3"), ("101_2", "101"), ("2:3", "3:2"), ("12:00", "1:00")],
    "nothing": [("", "18"), ("", ""), (None, "18")],
}


def _pairs(table: dict[str, list[tuple[str, str]]]) -> list[object]:
    return [pytest.param(*pair, id=f"{kind}: {pair[0]} | {pair[1]}") for kind, pairs in table.items() for pair in pairs]


@pytest.mark.parametrize(("one", "other"), _pairs(SAME))
def test_the_same_answer_in_another_form(one: str, other: str) -> None:
    """Spelling, units and the form of an answer do not matter, nor does the order of the two."""
    assert same_answer(one, other)
    assert same_answer(other, one)


@pytest.mark.parametrize(("one", "other"), _pairs(DIFFERENT))  # type: ignore[arg-type]
def test_a_different_answer(one: str | None, other: str) -> None:
    """Values are compared exactly, words as words, and all of an answer counts."""
    assert not same_answer(one, other)
    assert one is None or not same_answer(other, one)


def test_a_comparison_that_hangs_or_dies_is_not_the_same_answer() -> None:
    """Endless sums, towers of powers, five thousand braces: the next comparison works again."""
    assert not same_answer(r"\sum_{k=1}^{10^{9}} \sin(k^2)", "3", timeout=1)
    assert not same_answer("10^{10^{10^{10}}}", "3", timeout=1)
    assert not same_answer("{" * 5000, "3", timeout=1)
    assert not same_answer("9" * 1500 + "!", "3", timeout=1)
    assert same_answer("0.5", r"\frac{1}{2}")


@settings(max_examples=200)
@given(st.text(max_size=30), st.text(max_size=30))
def test_any_two_texts_can_be_compared(one: str, other: str) -> None:
    """No text makes a comparison fail, and the order of the two does not matter."""
    assert same_answer(one, other, timeout=5) == same_answer(other, one, timeout=5)


PIECES = [
    *r"0123456789xyein+-*/^_(){}[],;:.=<>|!% ½≤°",
    *(
        r"\frac",
        r"\sqrt",
        r"\{",
        r"\}",
        r"\pm",
        r"\pi",
        r"\cup",
        r"\le",
        r"\text{",
        r"\sin",
        r"\infty",
        r"\in",
        r"\ldots",
    ),
    *(" and ", " or ", "cm"),
]
LATEX = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


@settings(max_examples=300)
@given(LATEX, LATEX)
def test_any_two_formulas_can_be_compared(one: str, other: str) -> None:
    """As above, with what formulas are made of."""
    assert same_answer(one, other, timeout=5) == same_answer(other, one, timeout=5)
