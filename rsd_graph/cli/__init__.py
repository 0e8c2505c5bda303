"""`rsd`: the command line. A file for each command; here they become one application."""

from importlib.metadata import version
from typing import Annotated

import typer

from rsd_graph.cli import (
    bench,
    calibrate,
    check_data,
    estimate,
    evaluate_reward,
    export_reward,
    fit_confidence,
    gateway,
    report,
    sample,
    sandbox,
    serve,
    solve,
    train_reward,
    ui,
)
from rsd_graph.cli.commands import Commands

app = typer.Typer(
    help="Reward-Guided Speculative Decoding: a cheap draft model writes each reasoning step, a reward model scores "
    "it, and the expensive target model rewrites only the poor ones.",
    epilog='Example: rsd solve "What is 2 + 3 * 4?"',
    no_args_is_help=True,
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def reflowed(text: str) -> str:
    """The text, each paragraph on one line: Typer would print the line breaks inside a paragraph."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


@app.callback(invoke_without_command=True)
def main(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Without a command, only `--version` does anything."""
    if show_version:
        typer.echo(version("rsd-graph"))
        raise typer.Exit


for command in (
    solve.solve,
    serve.serve,
    gateway.gateway,
    ui.ui,
    train_reward.train_reward,
    bench.bench,
    check_data.check_data,
    report.report,
    estimate.estimate,
    calibrate.calibrate,
    sample.sample,
    fit_confidence.fit_confidence,
    evaluate_reward.evaluate_reward,
    export_reward.export_reward,
    sandbox.sandbox,
):
    app.command(help=reflowed(command.__doc__ or ""))(command)
