"""`rsd serve`."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from rsd_graph.cli.errors import ErrorLine, exit_codes
from rsd_graph.cli.options import ConfigFile
from rsd_graph.cli.serve_view import ServeView
from rsd_graph.cli.terminal_text import say
from rsd_graph.config import load_config
from rsd_graph.errors import ConfigurationError
from rsd_graph.presets import PRESETS
from rsd_graph.serving.gpus import GPU, find_gpus
from rsd_graph.serving.plan import plan
from rsd_graph.serving.run import serve as run_servers

DEFAULT_GIB = 80.0


def serve(
    preset: Annotated[
        str | None,
        typer.Option(help=f"Preset of models: {', '.join(PRESETS)}. rsd.toml overrides it.", show_default="none"),
    ] = None,
    config: ConfigFile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the commands and run nothing.")] = False,
    gpus: Annotated[
        int | None, typer.Option(min=0, help="Plan for this many GPUs.", show_default="those of this machine")
    ] = None,
    gpu_memory: Annotated[
        float | None,
        typer.Option(min=1, max=100_000, help="Memory of each GPU in GiB; needs --gpus.", show_default="80"),
    ] = None,
) -> None:
    """Start the models with vLLM and keep them running until Ctrl-C.

    Starts each model that rsd.toml or the preset names by `model`, and leaves alone those with a `url`, which run
    already. The models share the memory of the GPUs so that all of them fit. A server that dies is restarted.

    Once all are ready, run `rsd solve` in another terminal, with the same rsd.toml or --preset.

    Exit code: 0 after Ctrl-C, 1 on an error, 2 for an unknown option.
    """
    with exit_codes(ErrorLine(), extras="vllm"):
        settings = load_config(config, {} if preset is None else {"preset": preset})
        servers = plan(settings, _gpus(gpus, gpu_memory))
        if dry_run:
            for server in servers:
                say(f"# {server.role}: {server.url}\n{server}\n")
            return
        _ = settings.serve.api_key  # if it is missing, that is an error before anything starts
        view = ServeView(servers, _hint(preset, config))
        try:
            asyncio.run(run_servers(servers, settings, view))
        finally:
            view.close()


def _gpus(count: int | None, gib: float | None) -> list[GPU]:
    """The GPUs to plan for."""
    if count is not None:
        return [GPU(index, gib or DEFAULT_GIB) for index in range(count)]
    if gib is not None:
        raise ConfigurationError("--gpu-memory is the memory of each GPU of --gpus: say how many there are")
    return find_gpus()


def _hint(preset: str | None, config: Path | None) -> str:
    """What to do once the servers are ready."""
    options = (f" --preset {preset}" if preset else "") + (f" --config {config}" if config else "")
    return f'ready: rsd solve{options} "your problem"   (Ctrl-C stops the servers)'
