"""Model servers: which ones a configuration wants, and keeping them running."""

import asyncio
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path

from rsd_graph.config import Config
from rsd_graph.errors import ConfigurationError
from rsd_graph.serving.plan import ServerPlan
from rsd_graph.serving.supervisor import Supervisor, Watcher

NEEDS_VLLM = (
    "there is no `vllm` command, neither beside this Python nor on the PATH: run `pip install 'rsd-graph[vllm]'`, or "
    "give the `url` of a server that runs already"
)


def vllm_command() -> str:
    """The `vllm` of this Python's environment, or else of the PATH.

    Raises:
        ConfigurationError: there is none.
    """
    beside = Path(sys.executable).with_name("vllm")
    found = str(beside) if beside.exists() else shutil.which("vllm")
    if found is None:
        raise ConfigurationError(NEEDS_VLLM)
    return found


async def serve(servers: list[ServerPlan], config: Config, watcher: Watcher) -> None:
    """Run the servers until Ctrl-C or SIGTERM; a second one does not wait for them.

    Raises:
        ServingError: one does not start, or does not stay up.
    """
    vllm = vllm_command()
    runnable = [replace(server, command=(vllm, *server.command[1:])) for server in servers]
    supervisor = Supervisor(runnable, logs=config.serve.logs, watcher=watcher, api_key=config.serve.api_key)
    running = asyncio.create_task(supervisor.run())
    loop = asyncio.get_running_loop()
    ends = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as `nohup` has it
        ends.append(signal.SIGHUP)
    for number in ends:
        loop.add_signal_handler(number, running.cancel)
    try:
        await running
    except asyncio.CancelledError:  # asked to end: all servers have
        return
