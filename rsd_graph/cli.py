"""`rsd`: the command line, a thin door to the package."""

import asyncio
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from rsd_graph.config import Config, load_config
from rsd_graph.console import JSONView, Result, TerminalView, View
from rsd_graph.costs import flops
from rsd_graph.errors import InvalidProblemError, RSDError
from rsd_graph.events import RSDEvent

app = typer.Typer(
    help="Reward-Guided Speculative Decoding: a cheap draft model writes each reasoning step, a reward model scores "
    "it, and only a poor step is rewritten by the expensive target model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

FAILED, STOPPED_EARLY, INTERRUPTED = 1, 3, 130


@app.callback(invoke_without_command=True)
def main(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Without a command, only `--version` does anything."""
    if show_version:
        typer.echo(version("rsd-graph"))
        raise typer.Exit


@app.command()
def solve(
    problem: Annotated[str, typer.Argument(help="The problem, in quotes; - reads it from standard input.")],
    draft: Annotated[
        str | None, typer.Option(help="Draft model: a server's URL or a GGUF file.", show_default="embedded, 0.5B")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Target model: a server's URL or a GGUF file.", show_default="embedded, 1.5B")
    ] = None,
    reward: Annotated[
        str | None,
        typer.Option(
            help="confidence (the draft's own), judge (the embedded target is asked), or the URL of a judge's server.",
            show_default="confidence",
        ),
    ] = None,
    threshold: Annotated[
        str | None, typer.Option(help="Reward from 0 to 1 from which a draft step is kept.", show_default="0.7")
    ] = None,
    weighting: Annotated[
        str | None,
        typer.Option(
            help="How a reward becomes a probability of acceptance: step, constant, clipping, sigmoidal or logistic.",
            show_default="step",
        ),
    ] = None,
    max_steps: Annotated[str | None, typer.Option(help="Steps after which the run ends.", show_default="100")] = None,
    max_tokens: Annotated[
        str | None, typer.Option(help="Tokens of the response after which the run ends.", show_default="4096")
    ] = None,
    temperature: Annotated[
        str | None, typer.Option(help="Sampling temperature; 0 is greedy.", show_default="0")
    ] = None,
    seed: Annotated[str | None, typer.Option(help="Seed; the same one repeats a run.", show_default="0")] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings file.", show_default="rsd.toml here, if there is one")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, as it happens, for programs.")
    ] = False,
) -> None:
    """Solve one problem, and watch the models take turns.

    Without servers it runs by itself on this machine: the first run downloads two small models (1.6 GB).

    Exit code: 0 when the solution came to its end, 3 when a limit ended it, 1 on an error, 130 on Ctrl-C.
    """
    settings = {
        "threshold": threshold,
        "weighting": weighting,
        "max_steps": max_steps,
        "max_tokens": max_tokens,
        "temperature": temperature,
        "seed": seed,
    }
    overrides: dict[str, dict[str, Any]] = {
        "settings": {name: value for name, value in settings.items() if value is not None}
    }
    if draft is not None:
        overrides["draft"] = place(draft)
    if target is not None:
        overrides["target"] = place(target)
    if reward is not None:
        overrides["reward"] = {"kind": "judge", "url": reward} if "://" in reward else {"kind": reward}
    view: View = JSONView() if as_json else TerminalView()
    try:
        text = standard_input() if problem == "-" else problem
        code = asyncio.run(_solve(text, load_config(config, overrides), view))
    except RSDError as error:
        view.error(error)
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        view.interrupted()
        raise typer.Exit(INTERRUPTED) from None
    raise typer.Exit(code)


def standard_input() -> str:
    """The problem from standard input, whatever the locale says of its encoding."""
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise InvalidProblemError(f"standard input is not UTF-8: {error}") from error


def place(model: str) -> dict[str, str]:
    """Where a model is: at a URL or in a file."""
    return {"url": model} if "://" in model else {"path": model}


async def _solve(problem: str, config: Config, view: View) -> int:
    from rsd_graph.assembly import assemble
    from rsd_graph.graph import create_rsd_graph

    view.loading()
    models = await assemble(config, slots=1, progress=view.download)
    try:
        await models.start()
        view.started()
        graph = create_rsd_graph(models.draft, models.target, models.reward)
        output: Any = None
        started = time.monotonic()
        async for mode, chunk in graph.astream(
            {"problem": problem}, context=config.settings, stream_mode=["custom", "values"]
        ):
            if mode == "custom":
                view.event(cast("RSDEvent", chunk))
            else:
                output = chunk
        usage = output["usage"]
        view.result(
            Result(output, time.monotonic() - started, flops(usage, models.parameters) if models.parameters else None)
        )
        return 0 if output["stop"] == "eos" else STOPPED_EARLY
    finally:
        view.close()
        await models.aclose()


if __name__ == "__main__":
    app()
