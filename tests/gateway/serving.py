"""Runs a gateway on loopback, as users do, and asks it."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn
from openai import OpenAI

from rsd_graph import Generation, TokenUsage, create_rsd_graph
from rsd_graph.gateway import create_app
from rsd_graph.state import Finish
from rsd_graph.testing import ScriptedModel, ScriptedReward
from tests.conftest import free_port

TOKENS = TokenUsage(10, 3, 4)
_clients: list[OpenAI] = []


@contextmanager
def running(graph: Any, *, grace: int = 1, **options: Any) -> Iterator[str]:
    """The address of a gateway that serves the graph; `options` are those of `create_app`."""
    port = free_port()
    config = uvicorn.Config(
        create_app(graph, **options), host="127.0.0.1", port=port, log_level="critical", timeout_graceful_shutdown=grace
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        while not server.started:
            time.sleep(0.005)
        yield f"http://127.0.0.1:{port}"
    finally:
        while _clients:
            _clients.pop().close()
        server.should_exit = True
        thread.join()


def step(text: str, finish: Finish = "delimiter", tokens: TokenUsage = TOKENS) -> Generation:
    """One step."""
    return Generation(text, finish, tokens)


def graph_of(draft: Sequence[Generation], target: Sequence[Generation] = (), rewards: Sequence[float] = (1.0,)) -> Any:
    """A graph of scripted models, that says the same in every run: the script starts again after its end."""
    own = list(draft)

    def propose(messages: Any, response: str, settings: Any) -> Generation:  # noqa: ARG001
        return own[min(len(response.split("\n\n")) - 1, len(own) - 1)]

    wrote = ScriptedModel(list(target) or own)
    return create_rsd_graph(
        ScriptedModel(propose), wrote, ScriptedReward(lambda steps, _: rewards[min(len(steps), len(rewards) - 1)])
    )


def client(url: str, *, api_key: str = "none", max_retries: int = 0) -> OpenAI:
    """The official client, which tries once. It is closed with the gateway."""
    own = OpenAI(base_url=f"{url}/v1", api_key=api_key, max_retries=max_retries)
    _clients.append(own)
    return own


def ask(problem: str, **more: Any) -> dict[str, Any]:
    """Arguments of `chat.completions.create`."""
    return {"model": "rsd", "messages": [{"role": "user", "content": problem}], **more}
