"""`rsd check-data`."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from rsd_graph.cli.errors import FAILED, ErrorLine, exit_codes
from rsd_graph.cli.options import DataFile, DataSet
from rsd_graph.cli.progress import Stages
from rsd_graph.cli.terminal_text import say

if TYPE_CHECKING:
    from rsd_graph.data.problems import Problem


def check_data(
    data: DataSet,
    file: DataFile = None,
    seed: Annotated[int, typer.Option(help="Of the order in which choices are shown.")] = 0,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave out lines that are no problem, with a warning.")
    ] = False,
) -> None:
    """List the problems of a data set whose own reference solution would not be graded as right.

    No model can be right there. A problem without a worked solution is graded by its bare answer, which shows that the
    answer can be read, and no more.

    Exit code: 0 if all grade as right, 1 if some do not or on an error, 2 for an unknown option, 130 on Ctrl-C.
    """
    with exit_codes(ErrorLine(), extras="eval"):
        from rsd_graph.data.datasets import load_named
        from rsd_graph.data.grading import wrongly_graded

        problems = load_named(data, file, seed=seed, skip_broken=skip_broken)
        wrong = 0
        for problem, found in wrongly_graded(_shown(problems)):
            wrong += 1
            says = "no answer" if found is None else repr(found)
            say(f"{problem.id}: the solution says {says}, the reference is {problem.answer!r}")
        worked = sum(bool(problem.solution) for problem in problems)
        say(f"{wrong} of {len(problems)} problems do not grade as right; {worked} have a worked solution")
        if wrong:
            raise typer.Exit(FAILED)


def _shown(problems: "Sequence[Problem]") -> "Iterator[Problem]":
    """The problems, with the progress on standard error."""
    with Stages() as stages:
        for done, problem in enumerate(problems):
            yield problem
            stages.stage("grading", done + 1, len(problems))
