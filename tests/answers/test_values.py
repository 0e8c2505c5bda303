import pytest

from rsd_graph.answers.expressions import Tree, read_expression
from rsd_graph.answers.spelling import spell
from rsd_graph.answers.values import number, proportional, same_value


def _tree(text: str) -> Tree:
    tree = read_expression(spell(text))
    assert tree is not None
    return tree


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (r"\frac{2^{3000}+1}{2^{3001}}", r"\frac12", False),
        (r"\frac{1}{80!}", r"\frac{1}{81!}", False),
        (r"e^{-200}", "0", False),
        (r"\sin\pi", "0", True),
        (r"\sqrt{3+2\sqrt2}", r"1+\sqrt2", True),
        (r"\sqrt{2}", "1.414214", True),
        (r"\sqrt{2}", "1.4142", False),
        (r"\sqrt[3]{-27}", "-3", True),
        (r"\sqrt{x^2}", "x", False),
        (r"\sqrt{x^2}", "|x|", True),
        (r"\sqrt{ab}", r"\sqrt a \sqrt b", True),
        (r"(-1)^n", r"\cos(n\pi)", True),
        (r"n!", r"n(n-1)!", True),
        (r"(2+i)^2", "3+4i", True),
        (r"\log 1000", "3", True),
        (r"\log e", r"\ln e", True),
        (r"\frac1x", "x", False),
    ],
)
def test_values_are_exact(one: str, other: str, same: bool) -> None:
    """However small the difference, and with variables at every point where both are real."""
    assert bool(same_value(_tree(one), _tree(other))) is same


def test_what_is_too_large_has_no_value() -> None:
    """A tower of powers or the factorial of a large number is given up at once."""
    assert number(_tree("10^{10^{10^{10}}}")) is None
    assert number(_tree("999999999!^{999}")) is None
    assert same_value(_tree("10^{10^{10}}"), _tree("1+10^{10^{10}}")) is not True


def test_multiples_have_the_sign_of_their_ratio() -> None:
    """An equation times a constant is the same equation; an inequality times a negative one turns around."""
    assert proportional(_tree("2x-4"), _tree("x-2")) == 1
    assert proportional(_tree("2-x"), _tree("x-2")) == -1
    assert proportional(_tree("x^2"), _tree("x")) is None
