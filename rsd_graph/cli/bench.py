"""`rsd bench`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from rsd_graph.cli.errors import ErrorLine, exit_codes
from rsd_graph.cli.options import ConfigFile, DataFile, DataSet, Draft, Preset, Reward, Target, user_path
from rsd_graph.cli.report import show_report
from rsd_graph.errors import ConfigurationError


def bench(
    data: DataSet,
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            "--strategy",
            "-s",
            help="Strategy with its options, such as `rsd threshold=0.8` or `majority n=5`; repeat it for more.",
            show_default="draft, target and rsd",
        ),
    ] = None,
    file: DataFile = None,
    limit: Annotated[int | None, typer.Option(min=1, help="The first so many problems.", show_default="all")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="How often each problem is solved, with other seeds.")] = 1,
    in_flight: Annotated[int, typer.Option(min=1, help="Problems that are solved at once.")] = 8,
    out: Annotated[
        Path, typer.Option(help="Folder for logs and report; the same command goes on there.", callback=user_path)
    ] = Path("bench"),
    against: Annotated[
        str | None, typer.Option(help="The run that the others are compared with.", show_default="target")
    ] = None,
    draft: Draft = None,
    target: Target = None,
    reward: Reward = None,
    preset: Preset = None,
    config: ConfigFile = None,
) -> None:
    """Run strategies on the same problems, and compare them: accuracy, seconds, FLOPs and tokens.

    inspect_ai runs them, one strategy after the other, and keeps a log of each, which `inspect view` shows step by
    step. Ends with the report of `rsd report`. A run that was stopped or killed goes on when the command is run again.

    Exit code: 0 on success, 1 on an error, 2 for an unknown option, 130 on Ctrl-C.
    """
    with exit_codes(ErrorLine("resume"), extras="eval", again="resume"):
        from rsd_graph.inspect.bench import Bench, run_bench
        from rsd_graph.inspect.logs import read_runs

        models = {
            "draft": draft, "target": target, "reward": reward, "preset": preset,
            "config": None if config is None else str(config),
        }  # fmt: skip
        strategies = strategy or ["draft", "target", "rsd"]
        if against is not None and against.partition(" ")[0] not in {each.partition(" ")[0] for each in strategies}:
            raise ConfigurationError(f"--against: there is no run {against!r} among {', '.join(strategies)}")
        chosen = Bench(
            data=data,
            strategies=strategies,
            models={name: value for name, value in models.items() if value is not None},
            file=None if file is None else str(file),
            limit=limit,
            epochs=epochs,
            in_flight=in_flight,
        )
        run_bench(chosen, out / "logs", "rich" if sys.stderr.isatty() else "plain")
        show_report(read_runs([out / "logs"]), against, out)
