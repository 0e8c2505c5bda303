"""`rsd report`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsd_graph.cli.errors import ErrorLine, exit_codes
from rsd_graph.cli.options import user_path
from rsd_graph.cli.terminal_text import say

if TYPE_CHECKING:
    from rsd_graph.evaluation.comparison import Run


def report(
    logs: Annotated[list[Path], typer.Argument(help="Logs of `inspect eval`, or folders of them.", show_default=False)],
    against: Annotated[
        str | None,
        typer.Option(
            help="The run that the others are compared with: its name in the table, or its strategy alone.",
            show_default="target",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for the page, and for its tables and plots as files.", callback=user_path)
    ] = Path("report"),
) -> None:
    """Compare the strategies in logs of inspect_ai: accuracy, seconds, FLOPs and tokens, problem by problem.

    Prints the tables as Markdown, and writes report.html, which needs no other file, with each table as Markdown and
    CSV, and each plot as SVG, beside it.

    Exit code: 0 on success, 1 on an error, 2 for an unknown option, 130 on Ctrl-C.
    """
    with exit_codes(ErrorLine(), extras="eval"):
        from rsd_graph.inspect.logs import read_runs

        show_report(read_runs(logs), against, out)


def show_report(runs: "list[Run]", against: str | None, out: Path) -> None:
    """Print the comparison of these runs, and write it into the folder.

    Raises:
        ConfigurationError: there is no run of the name `against`, or the folder cannot be written.
    """
    from rsd_graph.errors import ConfigurationError
    from rsd_graph.evaluation.report import report

    names = list(dict.fromkeys(run.name for run in runs))
    if against is not None and against not in {*names, *(run.strategy for run in runs)}:
        raise ConfigurationError(f"there is no run {against!r} to compare with; there are: {', '.join(names)}")
    made = report(runs, against or "target")
    typer.echo(made.markdown())
    say(f"written: {made.write(out)}")
