from dataclasses import replace

import pytest

from rsd_graph.costs import Parameters
from rsd_graph.evaluation.comparison import Position, RecordedStep, Run, Solved, Source, against, baseline_of, labels
from rsd_graph.evaluation.plots import accuracy_against, over_positions
from rsd_graph.evaluation.report import report
from rsd_graph.evaluation.roofline import HARDWARE
from rsd_graph.evaluation.tables import differences, positions, reliability, results, wasted
from rsd_graph.state import TokenUsage, Usage

SIZES = Parameters(draft=1.0, target=10.0)
USAGE = Usage(draft=TokenUsage(20, 5, 10), target=TokenUsage(30, 30, 4), discarded=3)
PAIR = {"draft": "d", "target": "t", "reward": "r"}


def kept(reward: float | None = 0.8) -> RecordedStep:
    return RecordedStep("draft", 5, reward)


def rewritten(reward: float | None = 0.2) -> RecordedStep:
    return RecordedStep("target", 5, reward, rejected=3)


def solved(right: bool, seconds: float = 2.0, *steps: RecordedStep, sizes: Parameters | None = SIZES) -> Solved:
    return Solved(right, seconds, USAGE, sizes, steps)


RSD = Run(
    "gsm8k",
    "rsd threshold=0.8",
    {
        "1": solved(True, 1.0, kept(), rewritten()),
        "2": solved(True, 2.0, rewritten(0.5)),
        "3": solved(False, 3.0, kept(0.9)),
    },
    PAIR,
)
TARGET = Run("gsm8k", "target", {"2": solved(False, 6.0), "3": solved(False, 7.0)}, PAIR)


def test_a_run_is_summed_up() -> None:
    """Accuracy, seconds and FLOPs of a problem, and the tokens of all. The paper counts what is written alone."""
    assert RSD.accuracy.value == pytest.approx(2 / 3)
    assert RSD.seconds == 2
    assert RSD.usage.discarded == 9
    assert RSD.flops == 2 * (1.0 * 25 + 10.0 * 4)
    assert RSD.paper_flops == 2 * (1.0 * 10 + 10.0 * 4)


def test_throughput_leaves_pauses_out() -> None:
    """Two problems at once, a day's pause, and a third one: three in the four seconds that the models worked."""
    first, second = replace(solved(True, 2.0), ended=102.0), replace(solved(True, 3.0), ended=103.0)
    third = replace(solved(True, 1.0), ended=90_000.0)
    assert Run("d", "rsd", {"1": first, "2": second, "3": third}).throughput == 60 * 3 / 4
    assert Run("d", "rsd", {"1": first, "2": solved(True)}).throughput is None  # of older logs


def test_flops_are_unknown_where_a_size_is() -> None:
    """Even of one problem: the mean would be that of others."""
    unknown = Run("d", "rsd", {"1": solved(True), "2": solved(True, sizes=None)})
    assert unknown.flops is None
    assert unknown.paper_flops is None


def test_steps_are_counted_by_position() -> None:
    """Of the runs that have a step there; a reward is the draft's, whoever wrote the step in the end."""
    first, second = RSD.positions()
    assert first.steps == 3
    assert first.by_draft == pytest.approx(2 / 3)
    assert first.reward == pytest.approx((0.8 + 0.5 + 0.9) / 3)
    assert second == Position(1, 0.0, 0.2)


def test_runs_are_compared_on_shared_problems_alone() -> None:
    """The first problem is not the target's: neither its answer nor its seconds count."""
    found = against(RSD, TARGET)
    assert (found.right.problems, found.right.only_first, found.right.only_second) == (2, 1, 0)
    assert found.seconds.value == -4


def test_epochs_of_a_problem_are_one_problem() -> None:
    """Greedy epochs repeat each other: what is known of the problems is the same as after the first."""
    twice = {f"{name}/{epoch}": each for name, each in RSD.solved.items() for epoch in (1, 2)}
    repeated = replace(RSD, solved=twice, epochs=2)
    assert repeated.accuracy.low == pytest.approx(RSD.accuracy.low)
    assert against(repeated, TARGET) == against(RSD, TARGET)
    assert baseline_of(repeated, [repeated, TARGET], "target") is TARGET
    assert results([repeated]).rows == results([RSD]).rows


def test_an_id_may_have_a_slash() -> None:
    """Those of MATH do; without epochs, it belongs to the name."""
    slashed = Run("math", "target", {"algebra/1": solved(True), "algebra/2": solved(False)}, PAIR)
    assert list(slashed.problems) == ["algebra/1", "algebra/2"]


def test_a_baseline_is_found_by_its_name_or_its_strategy() -> None:
    """The name counts first. It has the same data and models, and a problem in common."""
    short = Run("gsm8k", "target max_tokens=9", TARGET.solved, PAIR)
    assert baseline_of(RSD, [RSD, short], "target") is short
    assert baseline_of(RSD, [short, RSD, TARGET], "target") is TARGET
    assert baseline_of(TARGET, [RSD, TARGET], "target") is None
    assert baseline_of(RSD, [RSD, Run("math500", "target", TARGET.solved, PAIR)], "target") is None
    assert baseline_of(RSD, [RSD, Run("gsm8k", "target", TARGET.solved, {**PAIR, "target": "other"})], "target") is None
    assert baseline_of(RSD, [RSD, Run("gsm8k", "target", {"9": solved(True)}, PAIR)], "target") is None


def test_runs_of_one_name_are_told_apart_by_their_models() -> None:
    """By the pair if there are several, and by the reward where that alone differs."""
    other = Run("gsm8k", "target", TARGET.solved, {**PAIR, "target": "large"})
    judged = Run("gsm8k", RSD.name, RSD.solved, {**PAIR, "reward": "judge"})
    assert labels([RSD, TARGET]) == ["rsd threshold=0.8", "target"]
    assert labels([TARGET, other]) == ["target (d + t)", "target (d + large)"]
    assert labels([RSD, judged]) == ["rsd threshold=0.8 (r)", "rsd threshold=0.8 (judge)"]


def test_tables_show_every_run_and_every_pair() -> None:
    """Markdown is short and CSV exact; the baseline is not compared with itself."""
    table = results([RSD, TARGET])
    assert "| gsm8k | rsd threshold=0.8 | 3 | 0.667 |" in table.markdown()
    assert "0.6666666666666666" in table.csv()
    assert [row[:6] for row in differences([RSD, TARGET], "target").rows] == [
        ["gsm8k", "rsd threshold=0.8", 2, 1, 0, 0.5]
    ]
    assert [row[2:5] for row in positions([RSD, TARGET]).rows] == [[1, 3, pytest.approx(2 / 3)], [2, 1, 0.0]]


def test_the_reward_is_set_against_the_answers() -> None:
    """By the lowest reward of a step that was kept: that of a rejected one says nothing of the solution."""
    assert [row[2:] for row in reliability([RSD]).rows] == [["0.8 to 1.0", 2, 0.5]]


def test_plots_are_svg_in_the_colour_of_the_text() -> None:
    """They need a cost that is known, and rewards."""
    for picture in (accuracy_against([RSD, TARGET], lambda run: run.seconds, "seconds"), over_positions([RSD])):
        assert picture is not None
        assert picture.startswith("<svg")
        assert "currentColor" in picture
        assert "rsd threshold=0.8" in picture
    assert accuracy_against([RSD], lambda _: None, "seconds") is None
    assert over_positions([TARGET]) is None


@pytest.mark.parametrize(("options", "joined"), [(" max_tokens=768", True), ("", False)])
def test_a_line_joins_draft_and_target_of_the_same_options(options: str, joined: bool) -> None:
    """What choosing one of the two by lot would give; a target with another limit is no end of it."""
    draft = Run("gsm8k", f"draft{options}", {"2": solved(False, 1.0)}, PAIR)
    target = Run("gsm8k", "target max_tokens=768", TARGET.solved, PAIR)
    picture = accuracy_against([draft, target, RSD], lambda run: run.seconds, "seconds")
    assert picture is not None
    assert ("stroke-dasharray" in picture) is joined


def test_a_page_holds_everything_and_runs_nothing() -> None:
    """No file from elsewhere, no script, no mark-up of a model's; ids of two pictures differ."""
    hostile = Run("<script>alert(1)</script>", "rsd", RSD.solved, PAIR)
    page = report([hostile], "target").html()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "src=" not in page
    ids = [part.split('"')[0] for part in page.split(' id="')[1:]]
    assert len(ids) == len(set(ids)) > 10


def test_wasted_calls_of_the_target_are_counted() -> None:
    """Of two rewritten steps that were scored, one is no better; a step that nobody scored does not count."""
    steps = [replace(rewritten(0.2), shadow=0.7), replace(rewritten(0.5), shadow=0.5), rewritten(), kept()]
    ((_, _, count, share, *_, rise),) = wasted([Run("gsm8k", "rsd", {"1": solved(True, 1.0, *steps)}, PAIR)]).rows
    assert (count, share) == (2, 0.5)
    assert rise == pytest.approx(0.25)
    assert not wasted([RSD]).rows


def test_the_page_looks_ahead_where_it_can() -> None:
    """To other thresholds, if the runs of RSD belong together; to other hardware, if the sizes are known."""
    whole = report([replace(RSD, threshold=0.8), TARGET], "target")
    assert [row[0] for row in whole.tables["thresholds"].rows if row[0] == 0.8] == [0.8]
    assert {row[0] for row in whole.tables["predicted"].rows} == set(HARDWARE)
    unknown = Run("gsm8k", "target", {"1": solved(True, sizes=None)}, PAIR)
    assert not {"thresholds", "predicted"} & set(report([unknown], "target").tables)


def test_only_decisions_are_shown_as_such() -> None:
    """In a beam, rewards choose among steps of one model: nothing is kept from the draft, or rewritten."""
    beam = replace(RSD, name="beam")
    assert not positions([beam]).rows
    assert over_positions([beam]) is None


def test_logs_are_linked_where_the_viewer_shows_them() -> None:
    page = report([replace(RSD, source=Source(log="2026 a.eval"))], "target").html()
    assert '<a href="http://127.0.0.1:7575/#/logs/2026%20a.eval">2026 a.eval</a>' in page


def test_what_misleads_is_said_first() -> None:
    """Runs without a baseline, on other problems, or on another machine."""
    notes = " ".join(report([RSD], "target").notes)
    assert "rsd threshold=0.8 on gsm8k is compared with nothing" in notes
    elsewhere = Run("gsm8k", "target", TARGET.solved, PAIR, Source(machine="another"))
    notes = " ".join(report([RSD, elsewhere], "target").notes)
    assert "did not solve the same problems" in notes
    assert "seconds do not compare" in notes
    assert report([RSD, Run("gsm8k", "target", RSD.solved, PAIR)], "target").notes == []
