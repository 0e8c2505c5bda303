import pytest

from rsd_graph.answers.words import Choice, may_be_product, read_choice, read_number, read_words


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("b", Choice("B", "")),
        ("(B)", Choice("B", "")),
        ("B) 45", Choice("B", "45")),
        ("B: forty-five", Choice("B", "forty-five")),
        ("Option (B)", Choice("B", "")),
        ("B and C", None),
        ("(B) and (C)", None),
        ("Bob", None),
        ("x", None),
    ],
)
def test_a_letter_of_a_choice(text: str, choice: Choice | None) -> None:
    """Alone, in brackets, or before the text that it stands for."""
    assert read_choice(text) == choice


def test_words_are_no_products() -> None:
    """A word has its own order of letters; a product of variables has none."""
    assert read_words("The Ellipse") == "ellipse"
    assert read_words("sqrt") is None
    assert not any(map(may_be_product, ("no", "was", "ABC", "ellipse")))
    assert all(map(may_be_product, ("xy", "mn", "x and y")))


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("twenty-one", "21"),
        ("one hundred and five", "105"),
        ("three thousand", "3000"),
        ("two thirds", r"\frac{2}{3}"),
        ("half", r"\frac{1}{2}"),
        ("one apple", None),
        ("and", None),
        ("", None),
    ],
)
def test_numbers_in_words(words: str, number: str | None) -> None:
    """Counts and simple parts; words that are no number are none."""
    assert read_number(words) == number
