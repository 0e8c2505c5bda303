import json

from rsd_graph import Generation, TokenUsage
from rsd_graph.data.solutions import Solution
from rsd_graph.evaluation.summary import Evaluation


def solution(correct: bool, *steps: str) -> Solution:
    return Solution("2+2?", tuple(Generation(step, "delimiter") for step in steps), correct)


def test_areas_are_of_the_last_the_lowest_and_the_mean_reward() -> None:
    """The right solutions end high, but one has the lowest step of all."""
    solutions = [solution(True, "a", "b"), solution(True, "a", "b"), solution(False, "a", "b")]
    done = Evaluation(solutions, [[0.1, 0.9], [0.8, 0.8], [0.7, 0.3]], [[TokenUsage(prompt=9, cached=4)] * 2] * 3, 6.0)
    areas = done.areas()
    assert areas["last step"].value == 1.0
    assert areas["lowest step"].value == 0.5
    assert areas["mean of the steps"].value == 0.75  # 0.5 against 0.5 counts half
    assert areas["last step"].low <= areas["last step"].value <= areas["last step"].high
    assert done.milliseconds == 1000
    assert done.tokens() == 5
    assert done.tokens(40, 40) is None


def test_one_class_has_no_area() -> None:
    """In JSON it is null; everything else is there."""
    done = Evaluation([solution(True, "a")], [[0.8]], [[TokenUsage(prompt=9, cached=4)]], 1.0)
    numbers = json.loads(json.dumps(done.as_json()))
    assert numbers["auc"]["every prefix"] == [None, None, None]
    assert numbers["reliability"] == [{"low": 0.8, "high": 0.9, "count": 1, "reward": 0.8, "right": 1.0}]
    assert (numbers["solutions"], numbers["right"], numbers["tokens_per_step"]) == (1, 1, 5)
