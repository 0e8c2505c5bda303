"""`rsd report`."""

from pathlib import Path
from typing import Annotated

import typer

from rsd_graph.cli.errors import ErrorLine, exit_codes


def report(
    logs: Annotated[list[Path], typer.Argument(help="Logs of `inspect eval`, or folders of them.", show_default=False)],
    against: Annotated[str, typer.Option(help="The strategy that the others are compared with.")] = "target",
    csv: Annotated[
        Path | None, typer.Option(help="Folder in which each table is written as CSV too.", show_default="none")
    ] = None,
) -> None:
    """Compare the strategies in logs of inspect_ai: accuracy, seconds, FLOPs and tokens, problem by problem.

    Prints Markdown: each run with its Wilson interval, the differences on the same problems, and how many steps were
    kept from the draft.

    Exit code: 0 on success, 1 on an error, 2 for an unknown option, 130 on Ctrl-C.
    """
    with exit_codes(ErrorLine(), extras="eval"):
        from rsd_graph.evaluation import tables
        from rsd_graph.inspect.logs import read_runs

        runs = read_runs(logs)
        made = {
            "results": tables.results(runs),
            "differences": tables.differences(runs, against),
            "acceptance": tables.acceptance(runs),
        }
        typer.echo("\n\n".join(table.markdown() for table in made.values() if table.rows))
        if csv is not None:
            csv.mkdir(parents=True, exist_ok=True)
            for name, table in made.items():
                (csv / f"{name}.csv").write_text(table.csv(), encoding="utf-8")
