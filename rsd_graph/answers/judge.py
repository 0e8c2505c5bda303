"""The verdict on a pair of answers; runs in the child process of `verifier.py`."""

from rsd_graph.answers.calculus import same_calculus
from rsd_graph.answers.matching import same_readings
from rsd_graph.answers.readings import LONGEST, read
from rsd_graph.answers.spelling import spell


def judge(answer: str, reference: str) -> bool:
    """Whether two answers are the same; the order of the two does not matter."""
    if same_readings(read(spell(answer)), read(spell(reference))):
        return True
    return max(len(answer), len(reference)) <= LONGEST and same_calculus(answer, reference)
