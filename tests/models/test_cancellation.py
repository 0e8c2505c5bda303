"""A call that is cancelled stops the server's work within a second."""

import asyncio
import socket
import threading
import time
from pathlib import Path
from typing import Any

from langchain_core.messages import HumanMessage
from pydantic import RootModel

from rsd_graph import RSDSettings
from rsd_graph.models.http import ModelServer
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp
from rsd_graph.models.vllm import VLLM
from tests.models.test_limits import raw_server

LONG = RSDSettings(delimiter="never", max_step_tokens=100_000)


ENOUGH = 3
"""Seconds. It takes less than one on a machine that has nothing else to do."""


class Slots(RootModel[list[dict[str, Any]]]):
    pass


def test_llamacpp_stops_computing(tiny_weights: Path) -> None:
    """A real server, which without streaming would compute to the end."""

    async def run() -> None:
        model = EmbeddedLlamaCpp(tiny_weights, slots=1, context=8192, threads=1)
        server = ModelServer(await model.url())

        async def is_writing() -> bool:
            (slot,) = (await server.get("/slots", Slots)).root
            return bool(slot["is_processing"] and slot["next_token"][0]["n_decoded"])

        async def until(writing: bool, seconds: float) -> None:
            async with asyncio.timeout(seconds):
                while await is_writing() is not writing:  # noqa: ASYNC110  # the server knows
                    await asyncio.sleep(0.02)

        try:
            # no end of text: it would compute for a minute
            writing = asyncio.create_task(model.generate([HumanMessage("Count to 9999.")], "1, 2,", settings=LONG))
            await until(writing=True, seconds=60)
            writing.cancel()
            await until(writing=False, seconds=ENOUGH)
        finally:
            await server.aclose()
            await model.aclose()

    asyncio.run(run())


def test_the_connection_is_closed() -> None:
    """That is what vLLM notices: of a generation that is cancelled, and of one whose time is over."""
    for timeout, cancel in ((600, True), (0.2, False)):
        closed = threading.Event()

        def wait_for_the_end(connection: socket.socket, closed: threading.Event = closed) -> None:
            if b"/v1/models" in connection.recv(65536):
                connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            elif not connection.recv(1):
                closed.set()

        async def run(url: str, seconds: float = timeout, cancel: bool = cancel) -> None:
            model = VLLM(url, model="m", template=lambda _: "p", timeout=seconds)
            writing = asyncio.create_task(model.generate([HumanMessage("?")], "", settings=RSDSettings()))
            await asyncio.sleep(0.1)
            if cancel:
                writing.cancel()
            await asyncio.wait([writing])
            await model.aclose()

        began = time.monotonic()
        with raw_server(wait_for_the_end) as url:
            asyncio.run(run(url))
            assert closed.wait(1)
        assert time.monotonic() - began < 3
