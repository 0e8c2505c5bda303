"""Compare two answers as mathematics."""

from rsd_graph.answers.normalise import normalise
from rsd_graph.answers.verifier import Verifier

_verifier = Verifier()


def same_answer(answer: str | None, reference: str, *, timeout: float = 10.0) -> bool:
    """Whether two answers are mathematically the same.

    Args:
        answer: The answer to judge; None is never right.
        reference: The right answer, as LaTeX or plain text.
        timeout: Seconds after which an unfinished comparison counts as "not the same".
    """
    if answer is None:
        return False
    return normalise(answer) == normalise(reference) or _verifier.same(answer, reference, timeout)
