"""A comparison as tables, each as Markdown for people and as CSV for programs."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from rsd_graph.evaluation.comparison import Run, against

Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a title."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def markdown(self) -> str:
        """The table under its title. Numbers have three significant digits."""
        lines = [self.columns, ["---"] * len(self.columns), *([_shown(cell) for cell in row] for row in self.rows)]
        return "\n".join([f"### {self.title}", "", *(f"| {' | '.join(line)} |" for line in lines)])

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
        "data", "strategy", "problems", "accuracy", "low", "high", "seconds a problem", "FLOPs a problem",
        "draft computed", "target computed", "reward computed", "cached", "discarded",
    )  # fmt: skip
    return Table(
        "Results (accuracy with 95 % Wilson intervals, tokens of all problems)", columns, list(map(_row, runs))
    )


def _row(run: Run) -> list[Cell]:
    accuracy, usage = run.accuracy, run.usage
    roles = (usage.draft, usage.target, usage.reward)
    return [
        run.data, run.name, len(run.solved), accuracy.value, accuracy.low, accuracy.high, run.seconds, run.flops,
        *(role.computed for role in roles), sum(role.cached for role in roles), usage.discarded,
    ]  # fmt: skip


def differences(runs: Sequence[Run], baseline: str) -> Table:
    """Each run against the one of this name on the same data, problem by problem."""
    columns = ("data", "strategy", "problems", "only it right", f"only {baseline} right", "difference", "p", "seconds",
               "low", "high")  # fmt: skip
    rows: list[Sequence[Cell]] = []
    for run in runs:
        base = next((each for each in runs if (each.data, each.name) == (run.data, baseline)), None)
        if base is None or base is run or not run.solved.keys() & base.solved.keys():
            continue
        found = against(run, base)
        right, seconds = found.right, found.seconds
        rows.append(
            [run.data, run.name, right.problems, right.only_first, right.only_second, right.difference, right.p_value,
             seconds.value, seconds.low, seconds.high]
        )  # fmt: skip
    return Table(
        f"Against {baseline}, on the same problems (exact McNemar; 95 % paired bootstrap of the seconds)", columns, rows
    )


def acceptance(runs: Sequence[Run]) -> Table:
    """The share of steps that the draft wrote, by their position."""
    rows: list[Sequence[Cell]] = [
        [run.data, run.name, position, count, share]
        for run in runs
        if any(any(each.by_draft) != all(each.by_draft) for each in run.solved.values())
        for position, (count, share) in enumerate(run.acceptance(), start=1)
    ]
    return Table("Steps kept from the draft, by position", ("data", "strategy", "step", "runs", "share"), rows)


def _shown(cell: Cell) -> str:
    if cell is None:
        return "unknown"
    return f"{cell:.3g}" if isinstance(cell, float) else str(cell).replace("|", "\\|")
