"""A run that ends before its time leaves no request behind on a real vLLM server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from rsd_graph import RSDSettings, create_rsd_graph
from rsd_graph.errors import ModelTimeoutError
from rsd_graph.models.vllm import VLLM
from rsd_graph.testing import ScriptedReward
from tests.vllm.checkpoints import checkpoint
from tests.vllm.conftest import serving
from tests.vllm.test_latency import in_flight

PROBLEM: Any = {"problem": "Count from 1 to 5000, with commas between the numbers."}
SETTINGS = RSDSettings(delimiter="<never written>", max_step_tokens=3000, max_tokens=6000)
RUNS = 4
A_SECOND = 1.0


@pytest.fixture(scope="module")
def url(logs: Path) -> Iterator[str]:
    with serving(checkpoint("draft"), logs, role="draft") as address:
        yield address


@asynccontextmanager
async def graph_on(url: str, **options: Any) -> AsyncIterator[Any]:
    """A graph whose draft writes for minutes on the server."""
    async with aclosing(VLLM(url, **options)) as model:
        yield create_rsd_graph(model, model, ScriptedReward([1.0]))


async def until(url: str, requests: int, seconds: float) -> float:
    """Seconds until the server computes so many requests.

    Raises:
        TimeoutError: it does not in this time.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(seconds):
        while await asyncio.to_thread(in_flight, url) != requests:  # noqa: ASYNC110  # the server knows
            await asyncio.sleep(0.02)
    return loop.time() - began


def test_cancelled_runs_leave_nothing(url: str) -> None:
    async def run() -> float:
        async with graph_on(url) as graph:
            runs = [asyncio.create_task(graph.ainvoke(PROBLEM, context=SETTINGS)) for _ in range(RUNS)]
            await until(url, RUNS, 120)
            for each in runs:
                each.cancel()
            return await until(url, 0, A_SECOND)

    print(f"{RUNS} cancelled runs: nothing left after {asyncio.run(run()):.2f} s")


def test_a_run_out_of_time_leaves_nothing(url: str) -> None:
    """Of its own time limit, and of its caller's."""

    async def run() -> tuple[float, float]:
        async with graph_on(url, timeout=5) as graph:
            running = asyncio.create_task(graph.ainvoke(PROBLEM, context=SETTINGS))
            await until(url, 1, 5)
            with pytest.raises(ModelTimeoutError):
                await running
            own = await until(url, 0, A_SECOND)
        async with graph_on(url) as graph:
            running = asyncio.create_task(graph.ainvoke(PROBLEM, context=SETTINGS))
            await until(url, 1, 120)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(running, 1)
            return own, await until(url, 0, A_SECOND)

    print("out of time: nothing left after {:.2f} s (model's limit), {:.2f} s (caller's)".format(*asyncio.run(run())))


def test_a_stream_that_nobody_reads_leaves_nothing(url: str) -> None:
    """The reader goes away in the middle of a step."""

    async def run() -> float:
        async with graph_on(url) as graph:
            stream = graph.astream(PROBLEM, context=SETTINGS, stream_mode="values")
            await anext(stream)
            reading = asyncio.ensure_future(anext(stream))
            await until(url, 1, 120)
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading
            await stream.aclose()
            return await until(url, 0, A_SECOND)

    print(f"a stream that nobody reads: nothing left after {asyncio.run(run()):.2f} s")
