"""Problems with choices: their letters, and the order in which they are shown."""

import random
from collections.abc import Sequence

LETTERS = "ABCDEFGHIJ"


def shuffled(choices: Sequence[str], right: int, seed: str) -> tuple[tuple[str, ...], str]:
    """The choices in an order that only the seed decides, and the letter of the right one.

    In some data sets the right choice is always the first; in others a model may know the order by heart.

    Args:
        choices: As the publisher lists them.
        right: The index of the right one.
        seed: A text that is different for each problem.

    Raises:
        ValueError: there are fewer than two choices, or too many for letters, or `right` is none of them.
    """
    if not 2 <= len(choices) <= len(LETTERS):  # noqa: PLR2004  # one is no choice
        raise ValueError(f"there must be 2 to {len(LETTERS)} choices, got {len(choices)}")
    if isinstance(right, bool) or not isinstance(right, int) or not 0 <= right < len(choices):
        raise ValueError(f"the right choice must be an index from 0 to {len(choices) - 1}, got {right!r}")
    order = list(range(len(choices)))
    random.Random(seed).shuffle(order)  # noqa: S311  # not for secrets; a text gives the same order everywhere
    return tuple(choices[index] for index in order), LETTERS[order.index(right)]
