"""Serves the page until it is told to stop."""

import asyncio
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiosqlite
import uvicorn
from fastapi import FastAPI
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from nicegui import ui

from rsd_graph._internal.listening import Server, quiet
from rsd_graph._internal.progress import Progress
from rsd_graph.assembly import Assembly, assemble
from rsd_graph.checkpoints import serializer
from rsd_graph.config import Config
from rsd_graph.costs import Parameters
from rsd_graph.errors import ConfigurationError
from rsd_graph.graph import create_rsd_graph
from rsd_graph.settings import RSDSettings
from rsd_graph.ui.key import KeyGate
from rsd_graph.ui.live import Runner
from rsd_graph.ui.origin import LoopbackOnly
from rsd_graph.ui.page import add_pages
from rsd_graph.ui.runs import Runs
from rsd_graph.ui.story import Event

GRACE = 2
"""Seconds in which open pages may end by themselves."""
SLOTS = 2
"""Problems that an embedded model computes at once."""


@asynccontextmanager
async def opened(
    models: Sequence[Any], settings: RSDSettings, database: Path, parameters: Parameters | None = None
) -> AsyncIterator[Runner]:
    """The runs in this database, over these models: draft, target and reward.

    Raises:
        ConfigurationError: the database cannot be opened, or is none.
    """
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(database)) as probe:
            probe.execute("PRAGMA schema_version")  # reads the file
    except (OSError, sqlite3.Error) as error:
        raise ConfigurationError(f"cannot open the runs in {database}: {error}") from error
    draft, target, reward = models
    async with aiosqlite.connect(database) as connection:
        saver = AsyncSqliteSaver(connection, serde=serializer())
        await saver.setup()  # it changes the journal, which it cannot while the page writes: not with the first run
        runs = Runs(connection)
        await runs.open()
        graph = create_rsd_graph(draft, target, reward, settings=settings, checkpointer=saver)
        runner = Runner(graph, runs, parameters)
        try:
            yield runner
        finally:
            await runner.close()


def application(runner: Runner, settings: RSDSettings, key: str | None = None) -> Any:
    """The pages as an ASGI application; one in a process."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    add_pages(runner, settings)
    ui.run_with(app, title="rsd", dark=None, show_welcome_message=False, reconnect_timeout=10)
    return KeyGate(app, key) if key else LoopbackOnly(app)


async def serve(
    config: Config,
    reserved: socket.socket,
    *,
    database: Path,
    key: str | None,
    ready: Callable[[str | None], None],
    progress: Progress | None = None,
    file: Sequence[Event] | None = None,
) -> None:
    """Serve the models of a configuration.

    Args:
        config: Of the models, and of the settings that the form shows first.
        reserved: Where, as `reserve` returns it.
        database: File of the runs.
        key: What visitors have to know; None lets everybody in.
        ready: Called once pages can be opened, with the id of the run that `file` has become.
        progress: Told about downloads.
        file: Events of a run to open.

    Raises:
        RSDError: a server does not answer, weights cannot be had, or the database cannot be opened.
    """
    assembly: Assembly
    async with assemble(config, slots=SLOTS, progress=progress) as assembly:
        await assembly.start()
        async with opened(assembly.faster, config.settings, database, assembly.parameters) as runner:
            run = await runner.add_file(list(file)) if file else None
            await listen(application(runner, config.settings, key), reserved, lambda: ready(run))


async def listen(app: Any, reserved: socket.socket, ready: Callable[[], None]) -> None:
    """Answer requests until a signal says to stop."""
    server = Server(
        uvicorn.Config(
            quiet(app), access_log=False, log_level="warning", server_header=False, timeout_graceful_shutdown=GRACE
        )
    )
    telling = asyncio.get_running_loop().call_later(0.05, ready)
    try:
        await server.serve([reserved])
    finally:
        telling.cancel()
