from fractions import Fraction

import pytest

from rsd_graph.answers.units import Quantity, factor, same_unit, split_compound, split_unit


@pytest.mark.parametrize(
    ("text", "quantity"),
    [
        ("5 cm", Quantity("5", "cm")),
        ("5cm", Quantity("5", "cm")),
        ("2.5 miles per hour", Quantity("2.5", "miles per hour")),
        ("5 m/s^2", Quantity("5", "m/s^2")),
        ("-3°C", Quantity("-3", "°C")),
        ("7 red apples", Quantity("7", "red apples")),
        ("7 个", Quantity("7", "个")),
        ("7x", None),
        ("7 x", None),
        ("7 π", None),
        ("7 or more", None),
        ("7 is wrong", None),
        ("7 to the left", None),
        ("apples", None),
    ],
)
def test_a_number_and_its_unit(text: str, quantity: Quantity | None) -> None:
    """Words after a number are a unit, unless they are variables or change its meaning."""
    assert split_unit(text) == quantity


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("cm", "centimeters", True),
        ("cm^2", "square centimeters", True),
        ("mph", "miles per hour", True),
        ("cm^2", "cm", False),
        ("apples", "green apple", True),
        ("apples", "pears", False),
        ("m", "apples", False),
        ("", "kg", True),
    ],
)
def test_units_that_stand_for_each_other(one: str, other: str, same: bool) -> None:
    """Names of one unit, words for one thing, or no unit at all."""
    assert same_unit(one, other) is same
    assert same_unit(other, one) is same


def test_amounts_are_converted_within_a_dimension() -> None:
    """A metre is a hundred centimetres, and no number of seconds."""
    assert factor("m", "cm") == 100
    assert factor("hours", "minutes") == 60
    assert factor("cents", "dollars") == Fraction(1, 100)
    assert factor("m", "s") is None
    assert split_compound("5 feet 6 inches") == [Quantity("5", "feet"), Quantity("6", "inches")]
    assert split_compound("5 cats and 6 dogs") == []
