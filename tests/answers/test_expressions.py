import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsd_graph.answers.expressions import read_expression, symbols
from rsd_graph.answers.spelling import spell


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"\frac12", r"\frac{1}{2}"),
        ("2sin(x)", r"2\sin{x}"),
        (r"\sin 2x", r"\sin(2x)"),
        (r"-2\frac13", r"-(2+\frac13)"),
        (r"1+x \over 2", r"\frac{1+x}{2}"),
        (r"{5 \choose 2}", r"\binom{5}{2}"),
        ("11_2", "3"),
    ],
)
def test_two_spellings_are_one_tree(one: str, other: str) -> None:
    """What is left out in one spelling, braces, brackets or signs, is there in the tree."""
    assert read_expression(spell(one)) == read_expression(spell(other)) is not None


@pytest.mark.parametrize("text", ["", "3 4", "5 apples", "1 +", ")3", "(3", "x = 2", "29_8", r"\foo{2}", "f'"])
def test_what_is_not_understood_is_not_read(text: str) -> None:
    """No part of a text is left out: all of it is read, or none."""
    assert read_expression(spell(text)) is None


def test_deep_and_long_texts_end() -> None:
    """A thousand brackets are not read; a thousand terms are."""
    assert read_expression("(" * 1000 + "1" + ")" * 1000) is None
    assert read_expression("-" * 1000 + "1") is None
    assert read_expression("1+" * 500 + "1") is not None


def test_symbols_are_the_variables() -> None:
    """Constants and functions are none; a subscript is a part of the name."""
    assert symbols(read_expression(r"e^{ix_1} + πr\sin y") or ()) == {"x_1", "r", "y"}


@given(st.text(alphabet=r"0123xyei+-*/^_(){}[]|.!° \frac"))
def test_any_text_can_be_tried(text: str) -> None:
    """A text is read or not; it never makes the reader fail."""
    read_expression(text)
