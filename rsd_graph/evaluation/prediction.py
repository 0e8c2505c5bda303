"""What recorded runs would take on other hardware, or with models of other sizes: pure functions of the records."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rsd_graph.costs import Parameters
from rsd_graph.errors import ConfigurationError
from rsd_graph.evaluation.comparison import Run, Solved, labelled
from rsd_graph.evaluation.roofline import Hardware, Roofline, Speed
from rsd_graph.evaluation.tables import Cell, Table

PREDICTED = ("draft", "target", "rsd", "majority", "best-of-n")
"""The strategies whose calls follow from what is recorded."""


@dataclass(frozen=True, slots=True)
class Speeds:
    """How fast each model is."""

    draft: Speed
    target: Speed
    reward: Speed | None = None
    """None if the reward needs no model of its own."""
    cached: bool = True
    """Whether the servers keep prompts: without that, each call reads the whole problem and response again."""
    price: float | None = None
    """Dollars an hour, of all that the models run on."""
    batch: int = 1
    """Problems that are solved at once."""
    shared: bool = False
    """Whether all models are on the same hardware, such as one GPU or a laptop's cores. While one of them writes for
    some problems, those that wait for another wait longer."""


def rooflines(
    sizes: Parameters,
    on: Hardware,
    *,
    batch: int = 1,
    bytes_per_parameter: float = 2.0,
    cached: bool = True,
    price: float | None = None,
    shared: bool = False,
) -> Speeds:
    """The speeds of models of these sizes, each on this hardware. See `Speeds` and `Roofline`."""

    def fast(size: float) -> Roofline:
        return Roofline(size, on, batch, bytes_per_parameter)

    judge = fast(sizes.reward) if sizes.reward else None
    return Speeds(fast(sizes.draft), fast(sizes.target), judge, cached, price, batch, shared)


def predictions(runs: Sequence[Run], speeds: Mapping[str, Speeds], *, measured: bool = False) -> Table:
    """What each run would take, and how long beside the target alone.

    Args:
        runs: At least one whose calls are known from what it records, as those of `PREDICTED` are; others are left out.
        speeds: By the name of the hardware.
        measured: Whether the runs were made on that hardware, so that their own seconds check the prediction.

    Raises:
        ConfigurationError: no run's calls are known.
    """
    columns = ["hardware", "data", "strategy", "seconds a problem", "target alone = 1"]
    if any(each.price is not None for each in speeds.values()):
        columns.append("dollars for 1,000 problems")
    if measured:
        columns += ["measured", "error"]
    rows: list[Sequence[Cell]] = []
    for name, fast in speeds.items():
        for run, label in labelled(runs):
            seconds = predict(run, fast)
            if seconds is None:
                continue
            row: list[Cell] = [name, run.data, label, seconds, seconds / target_alone(_baseline(run, runs), fast)]
            if "dollars for 1,000 problems" in columns:
                row.append(None if fast.price is None else 1000 * fast.price * seconds / 3600 / fast.batch)
            if measured:
                row += [run.seconds, f"{seconds / run.seconds - 1:+.0%}"]
            rows.append(row)
    if not rows:
        raise ConfigurationError(f"times can be predicted of runs of {', '.join(PREDICTED)}; there is none")
    return Table(
        "Predicted times",
        "Of hardware, by the roofline model: each pass takes the longest of moving the weights, computing, and what an "
        "engine takes. Of `this`, from the speeds measured. The steps are those recorded. The target alone is that run "
        "if there is one, and otherwise the target writing the same responses.",
        columns,
        rows,
    )


def predict(run: Run, speeds: Speeds) -> float | None:
    """Mean seconds of a problem; None if the calls of this strategy are not known from what it records."""
    if run.strategy not in PREDICTED:
        return None
    if run.strategy == "rsd":
        turns = _turns(run, speeds)
        seconds = [sum(_rsd(each, speeds, turns)) for each in run.solved.values()]
    else:
        seconds = [_seconds(run, each, speeds) for each in run.solved.values()]
    return sum(seconds) / len(seconds)


def target_alone(run: Run, speeds: Speeds) -> float:
    """Mean seconds of a problem if the target wrote the responses of this run."""
    alone = [_call(speeds.target, each.usage.question, each.usage.response) for each in run.solved.values()]
    return sum(alone) / len(alone)


def _baseline(run: Run, runs: Sequence[Run]) -> Run:
    alike = (each for each in runs if each.strategy == "target" and (each.data, each.pair) == (run.data, run.pair))
    return next(alike, run)


def _call(speed: Speed, unread: float, written: float, candidates: int = 1) -> float:
    """Seconds of one request: the pass that reads the prompt writes the first token."""
    return _begun(speed, unread) + speed.write(max(written - 1, 0), candidates)


def _begun(speed: Speed, unread: float) -> float:
    """Seconds until the first token is written."""
    return speed.call + speed.read(max(unread, 1))


def _judge(speed: Speed, unread: float) -> float:
    """Seconds of one request to a reward model."""
    return speed.call + speed.read(unread)


def _seconds(run: Run, solved: Solved, speeds: Speeds) -> float:
    usage, candidates = solved.usage, solved.candidates
    writer = speeds.target if usage.target.completion else speeds.draft
    written = (usage.draft + usage.target).completion / candidates
    judge = speeds.reward if run.strategy == "best-of-n" else None
    judged = _judge(judge, candidates * (usage.question + written)) if judge else 0.0
    return _call(writer, usage.question, written, candidates) + judged


@dataclass(frozen=True, slots=True)
class _Turns:
    """Seconds of a token that draft or target writes, in runs where each problem waits for one of them."""

    draft: float
    target: float


def _turns(run: Run, speeds: Speeds) -> _Turns:
    """On hardware of its own, a model writes for all problems at once. On shared hardware, passes of both alternate.

    Then each writes for those that wait for it, and a pass of the other one comes in between as long as another problem
    waits for that. Where a pass takes as long for one problem as for many, as on a GPU, this is what RSD loses there.
    """
    if not speeds.shared:
        return _Turns(speeds.draft.write(1), speeds.target.write(1))
    steps = [step for each in run.solved.values() for step in each.steps]
    by_draft = sum(step.tokens if step.author == "draft" else step.rejected or 0 for step in steps)
    by_target = sum(step.tokens for step in steps if step.author != "draft")
    share = by_draft / max(by_draft + by_target, 1)
    draft = speeds.draft.write(1, share=share) if by_draft else 0.0
    target = speeds.target.write(1, share=1 - share) if by_target else 0.0
    others = speeds.batch - 1
    return _Turns(draft + target * (1 - share**others), target + draft * (1 - (1 - share) ** others))


def _rsd(solved: Solved, speeds: Speeds, turns: _Turns) -> Iterator[float]:
    """Seconds of each call of algorithm 1, in its order."""
    read = dict.fromkeys(("draft", "target", "reward"), 0.0)
    so_far = float(solved.usage.question)

    def unread(role: str, upto: float, kept: float) -> float:
        """Tokens that this model has to read now; afterwards it knows the first `kept` of the conversation."""
        new = upto - (read[role] if speeds.cached else 0.0)
        read[role] = kept
        return new

    for step in solved.steps:
        by_draft = step.author == "draft"
        proposed = step.tokens if by_draft else step.rejected
        after = so_far + step.tokens
        if proposed is not None:
            known = after if by_draft else so_far
            yield _begun(speeds.draft, unread("draft", so_far, known)) + max(proposed - 1, 0) * turns.draft
            if speeds.reward and step.reward is not None:
                yield _judge(speeds.reward, unread("reward", so_far + proposed, known))
        if not by_draft:
            yield _begun(speeds.target, unread("target", so_far, after)) + max(step.tokens - 1, 0) * turns.target
        so_far = after
