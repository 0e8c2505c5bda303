"""Serves the models of a configuration: in this process, or in several that share one address.

Several processes are started anew rather than forked: models that run in the process cannot be forked once they are
loaded. Each reads what to serve from an environment variable, because uvicorn starts it from the name of a function.
"""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from rsd_graph._internal.listening import Server, key_in, quiet, require_key
from rsd_graph._internal.progress import Progress
from rsd_graph.assembly import assemble
from rsd_graph.config import Config, load_config
from rsd_graph.errors import ConfigurationError, RSDError, ServingError
from rsd_graph.gateway.app import create_app
from rsd_graph.gateway.limits import Limits
from rsd_graph.gateway.metrics import SHARED
from rsd_graph.graph import create_rsd_graph

PLAN = "RSD_GATEWAY_PLAN"
"""The environment variable that tells a worker what to serve."""
GRACE = 3
"""Seconds in which runs may end by themselves once the gateway is stopped; then their clients get an error."""
KEEP_ALIVE = 65
"""Seconds that an idle connection stays open: longer than the usual proxies keep it, which would reuse a closed one."""
SLOTS = 8
"""Problems that an embedded model computes at once."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to serve; all of it can be written as JSON, save for the key, which stays in the environment."""

    config: str | None
    """Path of the settings file; None for `rsd.toml` in this folder, if there is one."""
    overrides: dict[str, Any]
    """Of the configuration, as `load_config` takes them."""
    name: str
    api_key_env: str
    limits: Limits = field(default_factory=Limits)

    def load(self) -> Config:
        """The configuration.

        Raises:
            ConfigurationError: it is wrong.
        """
        return load_config(None if self.config is None else Path(self.config), self.overrides)

    @property
    def api_key(self) -> str | None:
        """The key, from the environment; None if there is none."""
        return key_in(self.api_key_env)

    def as_json(self) -> str:
        """The plan for another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """The plan of the process that has started this one."""
        fields = json.loads(text)
        return cls(**{**fields, "limits": Limits(**fields["limits"])})


def require_key_beyond(host: str, plan: Plan) -> None:
    """Refuse to let everybody in from other machines.

    Raises:
        ConfigurationError: the host is not this machine's own, and there is no key.
    """
    require_key(host, plan.api_key_env, "the gateway", "the key that clients must send")


@asynccontextmanager
async def application(plan: Plan, progress: Progress | None = None) -> AsyncIterator[ASGIApp]:
    """The application with its models, which are loaded, and closed at the end.

    Raises:
        RSDError: a server does not answer, weights cannot be had, or the configuration is wrong.
    """
    config = plan.load()
    async with assemble(config, slots=SLOTS, progress=progress) as models:
        await models.start()
        graph = create_rsd_graph(*models.faster, settings=config.settings, name=plan.name)
        try:
            yield quiet(create_app(graph, name=plan.name, api_key=plan.api_key, limits=plan.limits))
        except ValueError as error:
            raise ConfigurationError(f"{plan.api_key_env}: {error}") from error


def serve_here(plan: Plan, reserved: socket.socket, ready: Callable[[], None], progress: Progress | None) -> None:
    """Serve in this process until it is told to stop.

    Args:
        plan: What to serve.
        reserved: Where, as `reserve` returns it.
        ready: Called once requests are answered.
        progress: Told about downloads.

    Raises:
        RSDError: as `application` does.
    """

    async def serve() -> None:
        async with application(plan, progress) as app:
            server = Server(_uvicorn(app))
            ready()
            await server.serve([reserved])

    loop_factory = _uvicorn(_nothing).get_loop_factory()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(serve())


def serve_in_workers(plan: Plan, reserved: socket.socket, workers: int) -> None:
    """Serve in several processes until this one is told to stop; one that dies is started again.

    Args:
        plan: What to serve.
        reserved: Where, as `reserve` returns it.
        workers: How many processes.

    Raises:
        ServingError: one of them cannot start; it has printed why.
    """
    with TemporaryDirectory(prefix="rsd-metrics-") as metrics:
        os.environ |= {PLAN: plan.as_json(), SHARED: metrics}
        config = _uvicorn("rsd_graph.gateway.serve:worker", workers=workers, factory=True)
        supervisor = Multiprocess(config, [reserved])
        supervisor.run()
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        raise ServingError("a gateway process did not start; its error is above")


def worker() -> ASGIApp:
    """The application of one process of several."""
    return _Worker(Plan.from_json(os.environ[PLAN]))


class _Worker:
    """An application that is put together when the server starts."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._app: ASGIApp = _nothing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._app(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with application(self._plan) as self._app:
                await send({"type": "lifespan.startup.complete"})
                await receive()
            await send({"type": "lifespan.shutdown.complete"})
        except RSDError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})


async def _nothing(*_: Any) -> None: ...


def _uvicorn(app: ASGIApp | str, **options: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=GRACE,
        timeout_keep_alive=KEEP_ALIVE,
        ws="none",
        **options,
    )
