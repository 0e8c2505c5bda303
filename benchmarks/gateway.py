"""What the gateway adds to a run: milliseconds over calling the graph directly, at several numbers of requests at once.

    python benchmarks/gateway.py

Scripted models answer immediately, so that only the program is measured. The client runs in a process of its own and
speaks HTTP over loopback; both share the machine's cores. "Graph" calls `ainvoke` with the same number of runs at once.
The gateway's overhead is the difference between equal percentiles of the two.
"""

import argparse
import asyncio
import json
import math
import multiprocessing
import time
from multiprocessing.connection import Connection
from typing import Any

import httpx2
import uvicorn
from rich.console import Console
from rich.table import Table

from rsd_graph import Generation, TokenUsage, create_rsd_graph
from rsd_graph._internal.listening import reserve
from rsd_graph.gateway import create_app
from rsd_graph.testing import ScriptedModel, ScriptedReward

SENTENCE = "Three apples and four apples are seven apples, of which she eats two."


def scripted_graph(steps: int) -> Any:
    def step(_: Any, response: str, __: Any) -> Generation:
        last = response.count("\n\n") == steps - 1
        return Generation(SENTENCE, "eos" if last else "delimiter", TokenUsage(50, 40, 15))

    model = ScriptedModel(step)
    return create_rsd_graph(model, model, ScriptedReward([1.0]))


def percentile(seconds: list[float], share: float) -> float:
    """In milliseconds."""
    return sorted(seconds)[math.ceil(share * len(seconds)) - 1] * 1000


async def timed(one: Any, at_once: int, rounds: int) -> list[float]:
    """Seconds of each call, with so many in progress at any time."""

    async def worker() -> list[float]:
        seconds = []
        for _ in range(rounds):
            started = time.perf_counter()
            await one()
            seconds.append(time.perf_counter() - started)
        return seconds

    return [each for worked in await asyncio.gather(*[worker() for _ in range(at_once)]) for each in worked]


async def direct(steps: int, at_once: int, rounds: int) -> list[float]:
    graph = scripted_graph(steps)

    async def one() -> None:
        out = await graph.ainvoke({"problem": "p"})
        if len(out["steps"]) != steps:
            raise SystemExit(f"the run has {len(out['steps'])} steps, expected {steps}")

    return await timed(one, at_once, rounds)


def client(url: str, steps: int, at_once: int, rounds: int, answer: Connection, stream: bool) -> None:
    expected = "\n\n".join([SENTENCE] * steps)
    body = {"model": "rsd", "messages": [{"role": "user", "content": "p"}], "stream": stream}

    async def run() -> None:
        limits = httpx2.Limits(max_connections=at_once, max_keepalive_connections=at_once)
        async with httpx2.AsyncClient(timeout=120, limits=limits) as http:

            async def one() -> None:
                got = await http.post(f"{url}/v1/chat/completions", json=body)
                if got.is_error:
                    raise SystemExit(f"{got.status_code}: {got.text}")
                text = streamed(got.text) if stream else got.json()["choices"][0]["message"]["content"]
                if text != expected:
                    raise SystemExit(f"the answer is wrong: {text:.200}")

            await timed(one, at_once, 1)  # connections are opened, and code is warm
            answer.send(await timed(one, at_once, rounds))

    asyncio.run(run())


def streamed(text: str) -> str:
    events = [json.loads(line.removeprefix("data: ")) for line in text.split("\n\n")[:-2]]
    return "".join(event["choices"][0]["delta"].get("content", "") for event in events)


async def through_gateway(steps: int, at_once: int, rounds: int, *, stream: bool) -> list[float]:
    listening = reserve("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(create_app(scripted_graph(steps)), log_level="error"))
    serving = asyncio.create_task(server.serve([listening]))
    receiving, sending = multiprocessing.Pipe(duplex=False)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    process = multiprocessing.get_context("spawn").Process(
        target=client, args=(url, steps, at_once, rounds, sending, stream)
    )
    process.start()
    sending.close()  # so that the end of the process is the end of what it sends
    seconds: list[float] = await asyncio.to_thread(receiving.recv)
    process.join()
    server.should_exit = True
    await serving
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6, help="steps per run (default: 6)")
    parser.add_argument("--at-once", type=int, nargs="*", default=[1, 16, 200], help="default: 1 16 200")
    parser.add_argument("--requests", type=int, default=400, help="requests per row, about (default: 400)")
    options = parser.parse_args()
    table = Table("at once", "requests", "", "p50 ms", "p99 ms", "p50 over graph", "p99 over graph")
    for at_once in options.at_once:
        rounds = max(2, options.requests // at_once)
        base = asyncio.run(direct(options.steps, at_once, rounds))
        for name, seconds in (
            ("graph", base),
            ("gateway", asyncio.run(through_gateway(options.steps, at_once, rounds, stream=False))),
            ("gateway, stream", asyncio.run(through_gateway(options.steps, at_once, rounds, stream=True))),
        ):
            p50, p99 = percentile(seconds, 0.5), percentile(seconds, 0.99)
            over = (
                ["", ""]
                if seconds is base
                else [f"{p50 - percentile(base, 0.5):+.1f}", f"{p99 - percentile(base, 0.99):+.1f}"]
            )
            table.add_row(str(at_once), str(len(seconds)), name, f"{p50:.1f}", f"{p99:.1f}", *over)
    Console().print(table)


if __name__ == "__main__":
    main()
