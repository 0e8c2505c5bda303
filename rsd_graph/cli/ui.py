"""`rsd ui`."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from rsd_graph.cli.errors import ErrorLine, exit_codes
from rsd_graph.cli.options import (
    ConfigFile,
    Draft,
    Host,
    Preset,
    Reward,
    Target,
    Threshold,
    Tools,
    user_path,
)
from rsd_graph.cli.progress import Stages
from rsd_graph.cli.terminal_text import say
from rsd_graph.config import load_config
from rsd_graph.overrides import overrides


def ui(
    file: Annotated[
        Path | None,
        typer.Argument(help="Run to open: the output of `rsd solve --json`.", show_default="none", callback=user_path),
    ] = None,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8600,
    database: Annotated[
        Path | None,
        typer.Option(help="SQLite file that keeps the runs.", show_default="in your data folder", callback=user_path),
    ] = None,
    api_key_env: Annotated[
        str, typer.Option(help="Environment variable that holds the key that visitors must know.")
    ] = "RSD_UI_KEY",
    draft: Draft = None,
    target: Target = None,
    reward: Reward = None,
    preset: Preset = None,
    threshold: Threshold = None,
    tools: Tools = None,
    config: ConfigFile = None,
) -> None:
    """Open a local page that runs problems and shows how, until Ctrl-C.

    The state machine lights up node by node; steps appear as cards, with rejected drafts beside what replaced them.
    Runs are kept, and can be opened, resumed, forked at a step and compared. The models are those of `rsd solve` with
    the same options.

    Exit code: 0 after Ctrl-C, 1 on an error, 2 for an unknown option.
    """
    with exit_codes(ErrorLine(), extras="ui,local"):
        from rsd_graph._internal.listening import key_in, require_key, reserve, url_of
        from rsd_graph.ui.serve import serve
        from rsd_graph.ui.story import read_file

        settings = {"threshold": threshold, "tools": tools}
        chosen = load_config(config, overrides(draft, target, reward, preset, settings))
        require_key(host, api_key_env, "the page", "a key that visitors must know")
        events = read_file(file) if file else None
        with reserve(host, port) as reserved, Stages() as stages:

            def ready(run: str | None) -> None:
                stages.close()
                say(f"ready: {url_of(reserved)}{f'/run/{run}' if run else ''}   (Ctrl-C stops it)")

            serving = serve(
                chosen,
                reserved,
                database=database or _database(),
                key=key_in(api_key_env),
                ready=ready,
                progress=stages.stage,
                file=events,
            )
            asyncio.run(serving)


def _database() -> Path:
    from platformdirs import user_data_path

    return user_data_path("rsd-graph") / "runs.sqlite"
