"""`rsd calibrate`."""

from decimal import ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Annotated

import typer

from rsd_graph.cli.errors import ErrorLine, exit_codes
from rsd_graph.cli.terminal_text import say


def calibrate(
    logs: Annotated[list[Path], typer.Argument(help="Logs of runs of RSD, or folders of them.", show_default=False)],
    share: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Share of the steps that the target may write, from 0 to 1.",
            show_default="not asked for",
        ),
    ] = None,
    thresholds: Annotated[int, typer.Option(min=2, max=101, help="How many thresholds from 0 to 1 to show.")] = 11,
) -> None:
    """Choose a threshold from recorded rewards: what each would cost, and what is known of its accuracy.

    One run of RSD is enough; runs at several thresholds narrow the accuracy. With --share, names the highest
    threshold at which the target writes no more than that share of the steps.

    Exit code: 0 on success, 1 on an error, 2 for an unknown option, 130 on Ctrl-C.
    """
    with exit_codes(ErrorLine(), extras="eval"):
        from rsd_graph.evaluation.thresholds import comparable, grid, outlook, table, threshold_for
        from rsd_graph.inspect.logs import read_runs

        runs = comparable(read_runs(logs))
        typer.echo(table(runs, grid(runs, thresholds)).markdown())
        if share is not None:
            # down: a threshold above a reward has the target write that step too
            chosen = Decimal(str(threshold_for(runs, share))).quantize(Decimal("0.001"), ROUND_FLOOR)
            found = outlook(runs, float(chosen))
            say(f"\nthreshold {chosen}: the target writes {found.share:.0%} of the steps")
            if chosen < (runs[0].threshold or 0.0):
                say(f"it is below those that were recorded: check it with `rsd bench … -s 'rsd threshold={chosen}'`")
