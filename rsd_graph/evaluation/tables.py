"""A comparison as tables, each as Markdown for people and as CSV for programs."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from rsd_graph.evaluation.comparison import Run, against, baseline_of, labelled
from rsd_graph.evaluation.intervals import wilson

Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a title."""

    title: str
    about: str
    """How to read it."""
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def shown(self) -> list[list[str]]:
        """The cells as text. Numbers have three significant digits."""
        return [[_shown(cell) for cell in row] for row in self.rows]

    def markdown(self) -> str:
        """The table under its title."""
        lines = [self.columns, ["---"] * len(self.columns), *self.shown()]
        escaped = [" | ".join(cell.replace("|", "\\|") for cell in line) for line in lines]
        return "\n".join([f"### {self.title}", "", *([self.about, ""] if self.about else []),
                          *(f"| {line} |" for line in escaped)])  # fmt: skip

    def csv(self) -> str:
        """The table with every digit, and without its title."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return text.getvalue()


def results(runs: Sequence[Run]) -> Table:
    """What each run reached, and at which price."""
    columns = (
        "data", "strategy", "problems", "accuracy", "low", "high", "seconds a problem", "solved a minute",
        "FLOPs a problem", "FLOPs as in the paper",
    )  # fmt: skip
    rows: list[Sequence[Cell]] = []
    for run, label in labelled(runs):
        accuracy = run.accuracy
        rows.append(
            [run.data, label, len(run.problems), accuracy.value, accuracy.low, accuracy.high, run.seconds,
             run.throughput, run.flops, run.paper_flops]
        )  # fmt: skip
    return Table(
        "Results",
        "Accuracy with its 95 % Wilson interval. Seconds are those of one problem while others are solved beside it, "
        "solved a minute those of all. FLOPs count all that was computed; the paper leaves out what models "
        "read, and the reward.",
        columns,
        rows,
    )


def tokens(runs: Sequence[Run]) -> Table:
    """What each role read and wrote."""
    columns = ("data", "strategy", "draft computed", "target computed", "reward computed", "cached", "discarded")
    rows: list[Sequence[Cell]] = []
    for run, label in labelled(runs):
        usage = run.usage
        roles = (usage.draft, usage.target, usage.reward)
        cached = sum(role.cached for role in roles)
        rows.append([run.data, label, *(role.computed for role in roles), cached, usage.discarded])
    return Table(
        "Tokens",
        "Of all problems. Computed: read or written, and not found in a cache. Discarded: written, and not kept.",
        columns,
        rows,
    )


def differences(runs: Sequence[Run], baseline: str) -> Table:
    """Each run against the one of this name on the same data and models, problem by problem."""
    columns = ("data", "strategy", "problems", "only it right", f"only {baseline} right", "difference", "p", "seconds",
               "low", "high")  # fmt: skip
    rows: list[Sequence[Cell]] = []
    for run, label in labelled(runs):
        base = baseline_of(run, runs, baseline)
        if base is None:
            continue
        found = against(run, base)
        right, seconds = found.right, found.seconds
        rows.append(
            [run.data, label, right.problems, right.only_first, right.only_second, right.difference, right.p_value,
             seconds.value, seconds.low, seconds.high]
        )  # fmt: skip
    return Table(
        f"Against {baseline}",
        "On the problems that both have solved: accuracy with the exact McNemar test, and seconds a problem with their "
        "95 % paired bootstrap interval. Of several epochs, the one that has a problem right more often has it right.",
        columns,
        rows,
    )


def positions(runs: Sequence[Run]) -> Table:
    """Who wrote the steps, and their rewards, by position."""
    rows: list[Sequence[Cell]] = [
        [run.data, label, number, at.steps, at.by_draft, at.reward]
        for run, label in labelled(runs)
        if run.decides
        for number, at in enumerate(run.positions(), start=1)
    ]
    return Table(
        "Steps by position",
        "How many problems have a step there, the share that the draft wrote, and the mean reward of its proposals.",
        ("data", "strategy", "step", "steps", "kept from the draft", "reward"),
        rows,
    )


def reliability(runs: Sequence[Run], bins: int = 5) -> Table:
    """What the rewards are worth: how often a solution is right, by the lowest reward among its steps of the draft."""
    rows: list[Sequence[Cell]] = []
    for run, label in labelled(runs):
        lowest = [
            (min(rewards), each.right)
            for each in run.solved.values()
            if (rewards := [step.reward for step in each.steps if step.author == "draft" and step.reward is not None])
        ]
        for number in range(bins):
            inside = [right for reward, right in lowest if min(int(reward * bins), bins - 1) == number]
            if inside:
                span = f"{number / bins:.1f} to {(number + 1) / bins:.1f}"
                rows.append([run.data, label, span, len(inside), sum(inside) / len(inside)])
    return Table(
        "Calibration of the reward",
        "Solutions by the lowest reward among the draft's steps in them, and the share that is right.",
        ("data", "strategy", "lowest reward", "solutions", "right"),
        rows,
    )


def wasted(runs: Sequence[Run]) -> Table:
    """How often the target was no better than the draft's step that it replaced, by the reward of both."""
    rows: list[Sequence[Cell]] = []
    for run, label in labelled(runs):
        gains = [
            step.shadow - step.reward
            for each in run.solved.values()
            for step in each.steps
            if step.shadow is not None and step.reward is not None
        ]
        if gains:
            share = wilson(sum(gain <= 0 for gain in gains), len(gains))
            rows.append([run.data, label, len(gains), share.value, share.low, share.high, sum(gains) / len(gains)])
    return Table(
        "Wasted calls of the target",
        "Steps that the target rewrote, the share of them whose reward did not rise (with its 95 % Wilson interval), "
        "and how much the reward rose on average.",
        ("data", "strategy", "rewritten steps", "no better", "low", "high", "mean rise"),
        rows,
    )


def sources(runs: Sequence[Run]) -> Table:
    """The command, machine, models and log behind each run."""
    rows: list[Sequence[Cell]] = [
        [
            run.data, label, run.source.command, ", ".join(f"{role} {name}" for role, name in run.models.items()),
            run.source.machine or None, run.source.in_flight, run.source.created, run.source.log,
        ]
        for run, label in labelled(runs)
    ]  # fmt: skip
    return Table(
        "Where the figures come from",
        "The machine is the one that ran the command; models that are served run elsewhere.",
        ("data", "strategy", "command", "models", "machine", "problems at once", "begun", "log"),
        rows,
    )


def _shown(cell: Cell) -> str:
    if cell is None:
        return "unknown"
    return f"{cell:.3g}" if isinstance(cell, float) else str(cell)
