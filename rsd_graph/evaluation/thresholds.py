"""What other thresholds would do to recorded runs: pure functions of what was recorded.

At a threshold that makes the same decisions in a problem as were recorded, the problem would have been solved the same
way: its answer is known. Where one decision changes, the steps after it are not known, and neither is the answer; how
many tokens they take is then assumed to stay as it is.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rsd_graph.costs import FLOPS_PER_PARAMETER
from rsd_graph.errors import ConfigurationError
from rsd_graph.evaluation.comparison import RecordedStep, Run, Solved
from rsd_graph.evaluation.prediction import Speeds, predict, target_alone
from rsd_graph.evaluation.tables import Table


@dataclass(frozen=True, slots=True)
class Outlook:
    """Recorded problems at a threshold."""

    threshold: float
    share: float
    """The share of steps that the target writes, in [0, 1]."""
    flops: float | None
    """Beside the target writing the same responses; None if a model's size is unknown."""
    problems: int
    known: int
    """Problems whose answer is known at this threshold."""
    right: int
    """Those of them that are right."""

    @property
    def low(self) -> float:
        """The accuracy if every unknown answer is wrong."""
        return self.right / self.problems

    @property
    def high(self) -> float:
        """The accuracy if every unknown answer is right."""
        return (self.right + self.problems - self.known) / self.problems


def comparable(runs: Sequence[Run]) -> list[Run]:
    """The runs of RSD that compare rewards with a threshold, from the lowest on.

    Raises:
        ConfigurationError: there is none, or they are on several data sets or of several models.
    """
    found = sorted((run for run in runs if run.threshold is not None), key=lambda run: run.threshold or 0.0)
    if not found:
        raise ConfigurationError("no run of RSD with a threshold is among these logs: record one with `rsd bench`")
    if len({(run.data, *run.models.items()) for run in found}) > 1:
        raise ConfigurationError(
            "these runs of RSD are on several data sets, or of several models: pass the logs of one of them at a time"
        )
    return found


def outlook(runs: Sequence[Run], threshold: float) -> Outlook:
    """What a threshold would do.

    Args:
        runs: See `comparable`.
        threshold: In [0, 1].
    """
    problems = {name for run in runs for name in run.solved}
    known = {
        name: solved.right for run in runs for name, solved in run.solved.items() if _decided_so(solved, threshold)
    }
    base = _nearest(runs, threshold)
    changed = {name: _at(solved, threshold) for name, solved in base.solved.items()}
    return Outlook(
        threshold,
        _shares(base)(threshold),
        _flops(replace(base, solved=changed)),
        len(problems),
        len(known),
        sum(known.values()),
    )


def threshold_for(runs: Sequence[Run], share: float) -> float:
    """The highest threshold at which the target writes no more than this share of the recorded steps.

    Args:
        runs: See `comparable`.
        share: In [0, 1].

    Raises:
        ConfigurationError: nothing was scored.
    """
    rewards = sorted({reward for run in runs for reward in _rewards(run)})
    if not rewards:
        raise ConfigurationError("no step in these logs was scored")
    shares = {run.threshold: _shares(run) for run in runs}
    candidates = [0.0, *rewards, 1.0]
    return max(each for each in candidates if each == 0 or shares[_nearest(runs, each).threshold](each) <= share)


def grid(runs: Sequence[Run], count: int = 11) -> list[float]:
    """So many thresholds, evenly from 0 to 1, and those that these runs had."""
    recorded = {run.threshold for run in runs if run.threshold is not None}
    return sorted({index / (count - 1) for index in range(count)} | recorded)


def table(runs: Sequence[Run], thresholds: Sequence[float]) -> Table:
    """The outlook at each of these thresholds."""
    found = [outlook(runs, threshold) for threshold in thresholds]
    return Table(
        "Thresholds",
        "The accuracy lies between the last two columns: where a threshold would change a decision, the answer is "
        "not known. Runs at more thresholds narrow it. FLOPs are estimated; the target writing the same is 1.",
        ("threshold", "steps by the target", "FLOPs", "answers known", "of them right", "at least", "at most"),
        [
            [each.threshold, each.share, each.flops, each.known, each.right, each.low, each.high]
            for each in found
        ],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Work:
    """A `Speed` that counts operations rather than seconds."""

    size: float
    call: float = 0.0

    def read(self, tokens: float) -> float:
        return FLOPS_PER_PARAMETER * self.size * tokens

    def write(self, tokens: float, candidates: int = 1, share: float = 1.0) -> float:  # noqa: ARG002  # of the protocol
        return FLOPS_PER_PARAMETER * self.size * tokens * candidates


def _flops(run: Run) -> float | None:
    sizes = next(iter(run.solved.values())).parameters
    if sizes is None:
        return None
    work = Speeds(_Work(sizes.draft), _Work(sizes.target), _Work(sizes.reward))
    total = predict(run, work)
    return None if total is None else total / target_alone(run, work)


def _rewards(run: Run) -> list[float]:
    return [step.reward for solved in run.solved.values() for step in solved.steps if step.reward is not None]


def _shares(run: Run) -> Callable[[float], float]:
    """The share of steps that the target writes, by the threshold; steps that were not scored stay as they are."""
    steps = [step for solved in run.solved.values() for step in solved.steps]
    unscored = sum(step.reward is None and step.author == "target" for step in steps)
    rewards = sorted(_rewards(run))
    return lambda threshold: (unscored + bisect_left(rewards, threshold)) / len(steps) if steps else 0.0


def _decided_so(solved: Solved, threshold: float) -> bool:
    """Whether this threshold makes every decision as it was made."""
    return all(
        step.reward is not None and (step.reward < threshold) == (step.author == "target") for step in solved.steps
    )


def _nearest(runs: Sequence[Run], threshold: float) -> Run:
    """The run with the highest threshold up to this one: it has the reward of each step that is kept here.

    A draft that was lost may have been stopped early; its reward is then only known to be below the run's threshold.
    """
    below = [run for run in runs if run.threshold is not None and run.threshold <= threshold]
    return below[-1] if below else runs[0]


def _at(solved: Solved, threshold: float) -> Solved:
    """The problem with the authors that this threshold would choose."""

    def decided(step: RecordedStep) -> RecordedStep:
        if step.reward is None:
            return step
        if step.reward >= threshold:
            return replace(step, author="draft", rejected=None)
        return replace(step, author="target", rejected=step.tokens if step.rejected is None else step.rejected)

    return replace(solved, steps=[decided(step) for step in solved.steps])
