import pytest

from rsd_graph.costs import Parameters
from rsd_graph.evaluation.comparison import Run, Solved, against
from rsd_graph.evaluation.tables import acceptance, differences, results
from rsd_graph.state import TokenUsage, Usage

SIZES = Parameters(draft=1.0, target=10.0)
USAGE = Usage(draft=TokenUsage(20, 5, 10), target=TokenUsage(30, 30, 4), discarded=3)


def solved(right: bool, seconds: float = 2.0, *by_draft: bool, sizes: Parameters | None = SIZES) -> Solved:
    return Solved(right, seconds, USAGE, sizes, by_draft)


RSD = Run(
    "gsm8k",
    "rsd threshold=0.8",
    {"1": solved(True, 1.0, True, False), "2": solved(True, 2.0, False), "3": solved(False, 3.0, True)},
)
TARGET = Run("gsm8k", "target", {"2": solved(False, 6.0, False), "3": solved(False, 7.0, False)})


def test_a_run_is_summed_up() -> None:
    """Accuracy, seconds and FLOPs of a problem, and the tokens of all."""
    assert RSD.accuracy.value == pytest.approx(2 / 3)
    assert RSD.seconds == 2
    assert RSD.usage.discarded == 9
    assert RSD.flops == 2 * (1.0 * 25 + 10.0 * 4)


def test_flops_are_unknown_where_a_size_is() -> None:
    """Even of one problem: the mean would be that of others."""
    assert Run("d", "rsd", {"1": solved(True), "2": solved(True, sizes=None)}).flops is None


def test_acceptance_is_counted_by_position() -> None:
    """Of the runs that have a step there."""
    assert RSD.acceptance() == [(3, pytest.approx(2 / 3)), (1, 0.0)]


def test_runs_are_compared_on_shared_problems_alone() -> None:
    """The first problem is not the target's: neither its answer nor its seconds count."""
    found = against(RSD, TARGET)
    assert (found.right.problems, found.right.only_first, found.right.only_second) == (2, 1, 0)
    assert found.seconds.value == -4


def test_tables_show_every_run_and_every_pair() -> None:
    """Markdown is short and CSV exact; the baseline is not compared with itself."""
    table = results([RSD, TARGET])
    assert "| gsm8k | rsd threshold=0.8 | 3 | 0.667 |" in table.markdown()
    assert "0.6666666666666666" in table.csv()
    assert [row[:6] for row in differences([RSD, TARGET], "target").rows] == [
        ["gsm8k", "rsd threshold=0.8", 2, 1, 0, 0.5]
    ]
    assert [row[2:] for row in acceptance([RSD, TARGET]).rows] == [[1, 3, pytest.approx(2 / 3)], [2, 1, 0.0]]


def test_nothing_is_compared_across_data_sets() -> None:
    """Nor with a baseline that is not there."""
    elsewhere = Run("math500", "target", TARGET.solved)
    assert not differences([RSD, elsewhere], "target").rows
    assert not differences([RSD, TARGET], "draft").rows
