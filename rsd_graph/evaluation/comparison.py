"""Several runs over the same problems, side by side: pure functions of what was recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rsd_graph.costs import Parameters, flops, paper_flops
from rsd_graph.evaluation.intervals import Interval, Paired, mcnemar, paired_difference, wilson
from rsd_graph.state import Usage

DECIDING = ("rsd", "spec-reason")
"""Strategies in which a step of the draft may be replaced by the target's."""


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """A step of a recorded run."""

    author: str
    tokens: int
    reward: float | None = None
    """Of the draft's proposal, in [0, 1]: of what was kept, or of what the target replaced. None if it has none."""
    rejected: int | None = None
    """Tokens of the draft step that the target replaced; None if it replaced none."""
    shadow: float | None = None
    """The reward of what the target wrote, in [0, 1], if that was asked for."""


@dataclass(frozen=True, slots=True)
class Solved:
    """One problem, as a strategy has solved it."""

    right: bool
    seconds: float
    """From the question to the answer; waiting for other problems included."""
    usage: Usage
    parameters: Parameters | None
    """The models' sizes, if all are known."""
    steps: Sequence[RecordedStep] = ()
    """Those of models; the output of code is left out."""
    candidates: int = 1
    """Whole solutions that were written."""
    ended: float | None = None
    """When it was solved, in seconds since 1970; None if that was not recorded."""

    @property
    def flops(self) -> float | None:
        """Everything that was computed; None if a model's size is unknown."""
        return flops(self.usage, self.parameters).total if self.parameters else None

    @property
    def paper_flops(self) -> float | None:
        """What the paper counts, which is less; None if a model's size is unknown."""
        return paper_flops(self.usage, self.parameters) if self.parameters else None


@dataclass(frozen=True, slots=True)
class Source:
    """Where the figures of a run come from."""

    command: str = ""
    """It repeats the run."""
    machine: str = ""
    """Processor, cores and memory of the machine that ran it; models that are served run elsewhere."""
    in_flight: int | None = None
    """Problems that were solved at once; None if nothing limited them."""
    created: str = ""
    log: str = ""
    """The file."""


@dataclass(frozen=True, slots=True)
class Run:
    """A strategy on a data set."""

    data: str
    name: str
    """The strategy, with what tells it from others of its kind."""
    solved: Mapping[str, Solved]
    """By the problem's id, and by the epoch where there are several. At least one."""
    models: Mapping[str, str] = field(default_factory=dict)
    """The name of each model by its role."""
    source: Source = Source()
    threshold: float | None = None
    """What RSD compared rewards with, to keep all from there on; None of other strategies and weightings."""
    epochs: int = 1
    """How often each problem was to be solved. From 2 on, the ids in `solved` end in a slash and the epoch."""

    @property
    def strategy(self) -> str:
        """The strategy alone."""
        return self.name.partition(" ")[0]

    @property
    def options(self) -> str:
        """What the name says beside the strategy."""
        return self.name.partition(" ")[2]

    @property
    def decides(self) -> bool:
        """Whether a reward decided who writes each step, and was recorded."""
        return self.strategy in DECIDING and any(
            step.reward is not None for each in self.solved.values() for step in each.steps
        )

    @property
    def pair(self) -> tuple[str | None, str | None]:
        """Draft and target."""
        return self.models.get("draft"), self.models.get("target")

    @property
    def problems(self) -> dict[str, list[Solved]]:
        """The solutions of each problem: one for each epoch."""
        found: dict[str, list[Solved]] = {}
        for name, solved in self.solved.items():
            found.setdefault(name.rpartition("/")[0] if self.epochs > 1 else name, []).append(solved)
        return found

    @property
    def accuracy(self) -> Interval:
        """The share of right answers, with its Wilson interval: that of the problems, however often each was solved."""
        shares = [_share_right(each) for each in self.problems.values()]
        return wilson(sum(shares), len(shares))

    @property
    def usage(self) -> Usage:
        """All tokens."""
        return sum((each.usage for each in self.solved.values()), Usage())

    @property
    def seconds(self) -> float:
        """Mean seconds of a problem."""
        return _seconds([*self.solved.values()])

    @property
    def throughput(self) -> float | None:
        """Solutions in a minute, over the time in which at least one was being written; None if it is not known."""
        spans = [(each.ended - each.seconds, each.ended) for each in self.solved.values() if each.ended is not None]
        busy = _covered(spans)
        return 60 * len(spans) / busy if busy > 0 and len(spans) == len(self.solved) else None

    @property
    def flops(self) -> float | None:
        """Mean FLOPs of a problem; None if a model's size is unknown."""
        return _mean([each.flops for each in self.solved.values()])

    @property
    def paper_flops(self) -> float | None:
        """Mean FLOPs of a problem as the paper counts them; None if a model's size is unknown."""
        return _mean([each.paper_flops for each in self.solved.values()])

    def positions(self, most: int = 12) -> list["Position"]:
        """What the draft's proposals were worth, by the step's position."""
        found = []
        for index in range(most):
            steps = [each.steps[index] for each in self.solved.values() if len(each.steps) > index]
            if not steps:
                break
            rewards = [step.reward for step in steps if step.reward is not None]
            by_draft = sum(step.author == "draft" for step in steps) / len(steps)
            found.append(Position(len(steps), by_draft, sum(rewards) / len(rewards) if rewards else None))
        return found


@dataclass(frozen=True, slots=True)
class Position:
    """The steps of a run at one position."""

    steps: int
    """How many problems have a step there."""
    by_draft: float
    """The share of them that the draft wrote, in [0, 1]."""
    reward: float | None
    """The mean reward of the draft's proposals there; None if none was scored."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A run against another one, on the problems that both have."""

    right: Paired
    seconds: Interval
    """Mean difference of the seconds of a problem."""


def against(run: Run, baseline: Run) -> Difference:
    """Compare two runs problem by problem.

    Raises:
        ValueError: they share no problem.
    """
    ours, theirs = run.problems, baseline.problems
    shared = sorted(ours.keys() & theirs.keys())
    right = mcnemar(*({each: _share_right(solved[each]) for each in shared} for solved in (ours, theirs)))
    seconds = paired_difference(*([_seconds(solved[each]) for each in shared] for solved in (ours, theirs)))
    return Difference(right, seconds)


def baseline_of(run: Run, runs: Sequence[Run], name: str) -> Run | None:
    """The run of this name, or else of this strategy, on the same data and pair: None if it shares no problem."""
    there = [each for each in runs if (each.data, each.pair) == (run.data, run.pair)]
    named = [each for each in there if each.name == name] or [each for each in there if each.strategy == name]
    if not named or named[0] is run or not named[0].problems.keys() & run.problems.keys():
        return None
    return named[0]


def labels(runs: Sequence[Run]) -> list[str]:
    """What to call each run: its name, and those of its models by which runs of the same name differ."""
    several_pairs = len({run.pair for run in runs}) > 1
    found = []
    for run in runs:
        rewards = {each.models.get("reward") for each in runs if (each.name, each.pair) == (run.name, run.pair)}
        told = [*(run.pair if several_pairs else ()), *([run.models.get("reward")] if len(rewards) > 1 else ())]
        found.append(f"{run.name} ({' + '.join(filter(None, told))})" if told else run.name)
    return found


def labelled(runs: Sequence[Run]) -> list[tuple[Run, str]]:
    """Each run, and what to call it."""
    return list(zip(runs, labels(runs), strict=True))


def _covered(spans: Sequence[tuple[float, float]]) -> float:
    """The length of all that these spans cover: pauses between resumed runs are in none of them."""
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def _share_right(solutions: Sequence[Solved]) -> float:
    return sum(each.right for each in solutions) / len(solutions)


def _seconds(solutions: Sequence[Solved]) -> float:
    return sum(each.seconds for each in solutions) / len(solutions)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [each for each in values if each is not None]
    return sum(known) / len(known) if len(known) == len(values) else None
