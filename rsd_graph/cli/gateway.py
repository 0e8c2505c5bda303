"""`rsd gateway`."""

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from rsd_graph.cli.errors import ErrorLine, exit_codes, print_error
from rsd_graph.cli.options import (
    Budget,
    ConfigFile,
    Draft,
    Host,
    MaxSteps,
    MaxTokens,
    Preset,
    Reward,
    Seed,
    Target,
    Temperature,
    Threshold,
    Weighting,
)
from rsd_graph.cli.progress import Stages
from rsd_graph.cli.terminal_text import harmless, say
from rsd_graph.overrides import overrides

if TYPE_CHECKING:
    from socket import socket

    from rsd_graph.gateway.serve import Plan


def gateway(
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8100,
    name: Annotated[str, typer.Option(help="Name of the model that clients ask for.")] = "rsd",
    api_key_env: Annotated[
        str, typer.Option(help="Environment variable that holds the key that clients must send.")
    ] = "RSD_GATEWAY_KEY",
    workers: Annotated[
        int, typer.Option(min=1, max=256, help="Processes that share the address, each with its own connections.")
    ] = 1,
    max_runs: Annotated[
        int, typer.Option(min=1, help="Requests at once in each process; one more gets the status 429.")
    ] = 256,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that one request may take.")] = 600,
    draft: Draft = None,
    target: Target = None,
    reward: Reward = None,
    preset: Preset = None,
    threshold: Threshold = None,
    budget: Budget = None,
    weighting: Weighting = None,
    max_steps: MaxSteps = None,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    seed: Seed = None,
    config: ConfigFile = None,
) -> None:
    """Serve the graph as an OpenAI-compatible model until Ctrl-C.

    Any OpenAI client can ask it at http://127.0.0.1:8100/v1. The models are those of `rsd solve` with the same options;
    a request may choose its own settings. Models that run in this process are loaded once in each of the --workers.

    Exit code: 0 after Ctrl-C, 1 on an error, 2 for an unknown option.
    """
    settings = {
        "threshold": threshold,
        "budget": budget,
        "weighting": weighting,
        "max_steps": max_steps,
        "max_tokens": max_tokens,
        "temperature": temperature,
        "seed": seed,
    }
    with exit_codes(ErrorLine(), extras="gateway,local"):
        from rsd_graph._internal.listening import reserve
        from rsd_graph.gateway import serve
        from rsd_graph.gateway.limits import Limits

        plan = serve.Plan(
            None if config is None else str(config),
            overrides(draft, target, reward, preset, settings),
            name,
            api_key_env,
            Limits(runs=max_runs, seconds=timeout),
        )
        plan.load()  # what is wrong with it is an error before anything is loaded
        serve.require_key_beyond(host, plan)
        _log_to_the_terminal()
        with reserve(host, port) as reserved:
            _serve(plan, reserved, workers)


def _serve(plan: "Plan", reserved: "socket", workers: int) -> None:
    from rsd_graph._internal.listening import url_of
    from rsd_graph.gateway import serve

    address = f"{url_of(reserved)}/v1"
    if workers == 1:
        with Stages() as stages:
            serve.serve_here(plan, reserved, partial(_ready, address, stages.close), stages.stage)
    else:
        if not all(plan.load().resolve(role).served for role in ("draft", "target")):
            print_error("each process loads models of its own, and they share this machine's memory and cores")
        say(f"starting {workers} processes at {address}   (Ctrl-C stops them)")
        serve.serve_in_workers(plan, reserved, workers)


def _ready(address: str, close: Callable[[], None]) -> None:
    close()
    say(f"ready: {address}   (Ctrl-C stops it)")


def _log_to_the_terminal() -> None:
    """Show warnings and errors, made harmless: they quote servers."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Harmless("%(asctime)s %(message)s"))
    logging.getLogger("rsd_graph").addHandler(handler)


class _Harmless(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return harmless(super().format(record))
