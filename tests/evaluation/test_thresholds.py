import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsd_graph.costs import Parameters
from rsd_graph.errors import ConfigurationError
from rsd_graph.evaluation.comparison import RecordedStep, Run, Solved
from rsd_graph.evaluation.thresholds import comparable, outlook, table, threshold_for
from rsd_graph.state import Usage

SIZES = Parameters(draft=1.0, target=10.0)
MODELS = {"draft": "d", "target": "t", "reward": "r"}


def solved(threshold: float, rewards: Sequence[float], *, right: bool = True) -> Solved:
    """A problem as RSD solves it at this threshold if the draft's proposals have these rewards, each of 10 tokens."""
    steps = [
        RecordedStep("draft", 10, reward) if reward >= threshold else RecordedStep("target", 10, reward, rejected=10)
        for reward in rewards
    ]
    return Solved(right, 1.0, Usage(question=50, response=10 * len(steps)), SIZES, steps)


def run(threshold: float, **problems: Solved) -> Run:
    return Run("gsm8k", f"rsd threshold={threshold}", problems, MODELS, threshold=threshold)


HALF = run(0.5, a=solved(0.5, [0.9, 0.4]), b=solved(0.5, [0.6, 0.8], right=False))


def test_answers_are_known_where_no_decision_changes() -> None:
    """At 0.55 both problems go as they went; at 0.7 the second would not, and at 0.3 the first."""
    same, higher, lower = (outlook([HALF], threshold) for threshold in (0.55, 0.7, 0.3))
    assert (same.known, same.right, same.low, same.high) == (2, 1, 0.5, 0.5)
    assert (higher.known, higher.right, higher.low, higher.high) == (1, 1, 0.5, 1.0)
    assert (lower.known, lower.right, lower.low, lower.high) == (1, 0, 0.0, 0.5)


def test_runs_at_more_thresholds_narrow_the_accuracy() -> None:
    """What one run does not know, another does."""
    higher = run(0.7, a=solved(0.7, [0.9, 0.4]), b=solved(0.7, [0.6, 0.8]))
    found = outlook(comparable([higher, HALF]), 0.7)
    assert (found.known, found.right) == (2, 2)


def test_the_target_writes_what_is_below_the_threshold() -> None:
    """Its share of the steps, and what that costs beside the target alone, which reads 50 and writes 20 tokens."""
    nothing, one, everything = (outlook([run(0.5, a=HALF.solved["a"])], threshold) for threshold in (0.0, 0.5, 1.0))
    assert (nothing.share, one.share, everything.share) == (0, 0.5, 1)
    alone = 10 * (50 + 19)
    assert nothing.flops == pytest.approx((50 + 9 + 1 + 9) / alone)
    assert one.flops == pytest.approx((50 + 9 + 1 + 9 + 10 * (60 + 9)) / alone)


@given(
    st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=6), min_size=1, max_size=5),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_the_share_is_kept(rewards: list[list[float]], recorded: float, share: float) -> None:
    """The threshold for a share never has the target write more, and the next higher reward would."""
    runs = [run(recorded, **{str(index): solved(recorded, each) for index, each in enumerate(rewards)})]
    chosen = threshold_for(runs, share)
    assert outlook(runs, chosen).share <= share
    higher = [reward for each in rewards for reward in each if reward > chosen]
    if higher:
        assert outlook(runs, min(higher)).share > share


def test_a_share_is_found_among_many_rewards() -> None:
    """As many as a large data set has: in a moment, rather than in minutes."""
    rewards = [index / 40_000 for index in range(40_000)]
    many = run(0.5, **{str(at): solved(0.5, rewards[at : at + 10]) for at in range(0, 40_000, 10)})
    began = time.process_time()
    assert threshold_for([many], 0.3) == pytest.approx(0.3)
    assert time.process_time() - began < 5


def test_only_runs_of_one_kind_are_compared() -> None:
    """Of RSD, with a threshold, on one data set and of the same models."""
    with pytest.raises(ConfigurationError, match="no run of RSD with a threshold"):
        comparable([Run("gsm8k", "target", HALF.solved, MODELS)])
    other = Run("math500", "rsd threshold=0.5", HALF.solved, MODELS, threshold=0.5)
    with pytest.raises(ConfigurationError, match="several data sets, or of several models"):
        comparable([HALF, other])
    with pytest.raises(ConfigurationError, match="was scored"):
        threshold_for([run(0.5, a=Solved(True, 1.0, Usage(), None))], 0.5)


def test_the_table_has_a_row_for_each_threshold() -> None:
    assert [row[0] for row in table([HALF], [0.0, 0.5, 1.0]).rows] == [0.0, 0.5, 1.0]
