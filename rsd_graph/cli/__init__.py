"""`rsd`: the command line, a thin door to the package."""

import asyncio
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from rsd_graph.cli.rewards import FAILED, INTERRUPTED, evaluate_reward, export_reward, reward_table, train_reward
from rsd_graph.cli.solve_view import JSONView, Result, TerminalView, View
from rsd_graph.config import Config, load_config
from rsd_graph.costs import flops
from rsd_graph.errors import ConfigurationError, InvalidProblemError, RSDError
from rsd_graph.events import RSDEvent
from rsd_graph.presets import PRESETS

app = typer.Typer(
    help="Reward-Guided Speculative Decoding: a cheap draft model writes each reasoning step, a reward model scores "
    "it, and only a poor step is rewritten by the expensive target model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

STOPPED_EARLY = 3


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
            help="confidence (the draft's own), trained (on the embedded draft), combined (both), a file of `rsd "
            "train-reward`, judge (the embedded target is asked), or the URL of a process reward model's server, known "
            "by its model's name; any other model there is asked as a judge. A kind and a colon may stand before: "
            "outcome:URL.",
            show_default="confidence",
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="A family of models that `rsd serve` was started with.", show_default="none")
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
    overrides: dict[str, Any] = {"settings": {name: value for name, value in settings.items() if value is not None}}
    if preset is not None:
        overrides["preset"] = preset
    if draft is not None:
        overrides["draft"] = place(draft)
    if target is not None:
        overrides["target"] = place(target)
    if reward is not None:
        overrides["reward"] = reward_table(reward)
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


@app.command()
def serve(
    preset: Annotated[
        str | None,
        typer.Option(help=f"A family of models: {', '.join(PRESETS)}. rsd.toml goes over it.", show_default="none"),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings file.", show_default="rsd.toml here, if there is one")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the commands and run nothing.")] = False,
    gpus: Annotated[
        int | None, typer.Option(min=0, help="Plan for so many GPUs.", show_default="those of this machine")
    ] = None,
    gpu_memory: Annotated[
        float | None, typer.Option(min=1, help="GiB of each, with --gpus.", show_default="80")
    ] = None,
) -> None:
    """Start the three models with vLLM, watch over them, and stop them all on Ctrl-C.

    Models with a `url` in rsd.toml run already and are left alone; others are named by `model`.
    Memory is shared out so that they fit the GPUs. A server that dies is started again.
    When all are ready, `rsd solve` with the same rsd.toml or --preset uses them.

    Exit code: 0 after Ctrl-C, 1 on an error.
    """
    from rsd_graph.cli.serve_view import ServeView
    from rsd_graph.serving import serve as run_servers
    from rsd_graph.serving.gpus import GPU, find_gpus
    from rsd_graph.serving.plan import plan

    try:
        if gpu_memory is not None and gpus is None:
            raise ConfigurationError("--gpu-memory is the memory of each of --gpus: say how many")
        settings = load_config(config, {} if preset is None else {"preset": preset})
        known = find_gpus() if gpus is None else [GPU(index, gpu_memory or 80.0) for index in range(gpus)]
        servers = plan(settings, known)
        if dry_run:
            for server in servers:
                typer.echo(f"# {server.role}: {server.url}\n{server}\n")
            return
        _ = settings.serve.api_key  # missing? say so before anything starts
        again = (f" --preset {preset}" if preset else "") + (f" --config {config}" if config else "")
        view = ServeView(servers, f'ready: rsd solve{again} "your problem"   (Ctrl-C stops the servers)')
        try:
            asyncio.run(run_servers(servers, settings, view))
        finally:
            view.close()
    except RSDError as error:
        typer.secho(f"rsd: {error}", fg="red", err=True)
        raise typer.Exit(FAILED) from None


app.command()(evaluate_reward)
app.command()(train_reward)
app.command()(export_reward)


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
    async with assemble(config, slots=1, progress=view.download) as models:
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
            counted = flops(usage, models.parameters) if models.parameters else None
            view.result(Result(output, time.monotonic() - started, counted))
            return 0 if output["stop"] == "eos" else STOPPED_EARLY
        finally:
            view.close()
