from dataclasses import replace

import pytest

from rsd_graph.costs import Parameters
from rsd_graph.errors import ConfigurationError
from rsd_graph.evaluation.comparison import RecordedStep, Run, Solved
from rsd_graph.evaluation.prediction import Speeds, predict, predictions, rooflines, target_alone
from rsd_graph.evaluation.report import report
from rsd_graph.evaluation.roofline import HARDWARE, Roofline, hardware, parameters
from rsd_graph.state import TokenUsage, Usage

H100 = HARDWARE["h100"]


class Counting:
    """A model that takes a second for each token that it reads, and a thousand for each that it writes."""

    def __init__(self, call: float = 0.0) -> None:
        self.call = call

    def read(self, tokens: float) -> float:
        return tokens

    def write(self, tokens: float, candidates: int = 1, share: float = 1.0) -> float:  # noqa: ARG002  # of the protocol
        return 1000 * tokens * candidates


class Idle:
    """A model that takes no time."""

    call = 0.0

    def read(self, tokens: float) -> float:
        return 0 * tokens

    def write(self, tokens: float, candidates: int = 1, share: float = 1.0) -> float:  # noqa: ARG002  # of the protocol
        return 0 * tokens * candidates


STEPS = (
    RecordedStep("draft", 20, 0.9),
    RecordedStep("target", 30, 0.1, rejected=10),
    RecordedStep("draft", 40, 0.9),
)
RSD = Run("gsm8k", "rsd threshold=0.5", {"1": Solved(True, 5.0, Usage(question=100, response=90), None, STEPS)})


@pytest.mark.parametrize(
    ("role", "cached", "seconds"),
    [
        ("draft", True, 100 + 1 + 30 + 1000 * (19 + 9 + 39)),  # what it wrote it knows, but for one pass
        ("target", True, 120 + 1000 * 29),
        ("reward", True, 120 + 10 + 70),  # the rejected step, and then the target's with the last
        ("draft", False, 100 + 120 + 150 + 1000 * (19 + 9 + 39)),
        ("reward", False, 120 + 130 + 190),
    ],
)
def test_every_call_of_the_algorithm_is_counted(role: str, cached: bool, seconds: float) -> None:
    """Each model reads what it does not know, and writes what is recorded; the first token comes with the reading."""
    draft, target, reward = (Counting() if each == role else Idle() for each in ("draft", "target", "reward"))
    assert predict(RSD, Speeds(draft, target, reward, cached)) == seconds


@pytest.mark.parametrize(("role", "calls"), [("draft", 3), ("target", 1), ("reward", 3)])
def test_each_call_takes_time_beside_its_tokens(role: str, calls: int) -> None:
    """Steps are short: a graph with two or three calls a step notices what a request costs."""

    def seconds(call: float) -> float:
        draft, target, reward = (Counting(call) if each == role else Idle() for each in ("draft", "target", "reward"))
        return predict(RSD, Speeds(draft, target, reward)) or 0

    assert seconds(10_000) == seconds(0) + 10_000 * calls


def test_models_that_share_hardware_write_in_turns() -> None:
    """One problem alone has nobody to wait for; among many, each token waits for a pass of the other model too."""
    sizes = Parameters(1.5e9, 7e9)
    alone, crowd, apart = (
        rooflines(sizes, H100, batch=batch, shared=shared) for batch, shared in ((1, True), (64, True), (64, False))
    )
    assert predict(RSD, alone) == predict(RSD, rooflines(sizes, H100))
    draft, target = alone.draft.write(1), alone.target.write(1)
    waits = (19 + 9 + 39) * target + 29 * draft  # passes take as long for a share of the problems as for all
    assert predict(RSD, crowd) == pytest.approx((predict(RSD, apart) or 0) + waits, rel=1e-3)
    one_sided = replace(RSD, solved={"1": replace(RSD.solved["1"], steps=STEPS[:1])})
    assert predict(one_sided, crowd) == predict(one_sided, apart)  # nobody waits for the target


def test_other_strategies_write_whole_solutions() -> None:
    """Candidates are written side by side; a best of n reads each with its question."""
    usage = Usage(draft=TokenUsage(300, 0, 60), question=100, response=20)
    solved = {"1": Solved(True, 1.0, usage, None, candidates=3)}
    alone = {"1": Solved(True, 1.0, Usage(target=TokenUsage(100, 0, 20), question=100, response=20), None)}
    speeds = Speeds(Counting(), Idle(), Counting())
    assert predict(Run("d", "best-of-n n=3", solved), speeds) == 100 + 1000 * 19 * 3 + 3 * 120
    assert predict(Run("d", "majority n=3 model=draft", solved), speeds) == 100 + 1000 * 19 * 3
    assert predict(Run("d", "target", alone), Speeds(Idle(), Counting())) == 100 + 1000 * 19
    assert predict(Run("d", "beam width=4", solved), speeds) is None


def test_an_empty_prediction_is_none() -> None:
    """Where no run's calls are known, the user learns of which they are."""
    beam = Run("d", "beam width=4", RSD.solved)
    speeds = {"h100": rooflines(Parameters(1e9, 7e9), H100)}
    assert [row[2] for row in predictions([beam, RSD], speeds).rows] == ["rsd threshold=0.5"]
    with pytest.raises(ConfigurationError, match="of runs of draft, target, rsd"):
        predictions([beam], speeds)
    sized = {"1": replace(RSD.solved["1"], parameters=Parameters(1e9, 7e9))}
    assert "predicted" not in report([Run("d", "beam width=4", sized)], "target").tables


def test_writing_moves_the_weights_and_reading_computes() -> None:
    """One token takes as long as the weights take to pass; a long prompt, as long as its operations."""
    model = Roofline(7e9, H100)
    moving = 14e9 / (0.7 * 3.35e12)
    assert model.write(10) == pytest.approx(10 * moving)
    assert model.read(50) == pytest.approx(moving)  # less to compute than to move
    assert model.read(10_000) == pytest.approx(2 * 7e9 * 10_000 / (0.5 * 989e12))
    assert model.read(0) == 0
    small = Roofline(0.5e9, H100)
    assert small.write(10) == 10 * H100.least  # the engine takes longer than the model
    assert small.call == H100.call


def test_a_batch_shares_the_weights() -> None:
    """Eight problems write in the time of one; a thousand have to compute."""
    one, eight, many = (Roofline(7e9, H100, batch) for batch in (1, 8, 1000))
    assert eight.write(10) == one.write(10)
    assert many.write(10) == pytest.approx(10 * 2 * 7e9 * 1000 / (0.5 * 989e12))
    assert Roofline(7e9, H100, bytes_per_parameter=1).write(10) == one.write(10) / 2


def test_hardware_and_sizes_are_read() -> None:
    """Several of one kind share the weights; mistakes are named."""
    assert hardware("4xH100").bandwidth == 4 * H100.bandwidth
    assert hardware("l40s") is HARDWARE["l40s"]
    assert (parameters("7b"), parameters("0.5B"), parameters("350m"), parameters("1000")) == (
        7e9,
        0.5e9,
        350e6,
        1000,
    )
    for name in ("h1000", "0xh100", "4x", "", "9" * 400 + "xh100"):
        with pytest.raises(ConfigurationError, match="there is no hardware"):
            hardware(name)
    for size in ("b", "-7b", "0b", "seven", "9" * 400):
        with pytest.raises(ConfigurationError, match="is no size of a model"):
            parameters(size)


def test_the_table_compares_with_the_target_alone() -> None:
    """With the run of the target if there is one; the price is that of all problems at once."""
    speeds = rooflines(Parameters(0.5e9, 70e9, 7e9), H100, batch=4, price=3.0)
    table = predictions([RSD], {"h100": speeds})
    ((_, _, _, seconds, relative, dollars),) = table.rows
    assert isinstance(seconds, float)
    assert relative == pytest.approx(seconds / target_alone(RSD, speeds))
    assert dollars == pytest.approx(1000 * 3.0 * seconds / 3600 / 4)
    usage = Usage(target=TokenUsage(100, 0, 9), question=100, response=9)
    alone = Run("gsm8k", "target", {"1": Solved(True, 1.0, usage, None)})
    first, second = predictions([alone, RSD], {"h100": speeds}).rows
    assert first[4] == 1
    assert second[4] == pytest.approx(seconds / target_alone(alone, speeds))
    checked = predictions([RSD], {"this": speeds}, measured=True)
    assert checked.rows[0][-2:] == [5.0, f"{seconds / 5 - 1:+.0%}"]
