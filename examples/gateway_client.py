"""Ask a gateway with the official OpenAI client: stream the answer, and see who wrote each step.

rsd gateway                                   # in another terminal: http://127.0.0.1:8100/v1
python examples/gateway_client.py "Natalia sold 48 clips in April and half as many in May. How many in all?"
python examples/gateway_client.py --fake      # a gateway of its own, with scripted models: no weights, at once
"""

import argparse
import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from openai import AsyncOpenAI

from rsd_graph import create_rsd_graph
from rsd_graph.gateway import create_app

PROBLEM = "Natalia sold 48 clips in April and half as many in May. How many in all?"


@asynccontextmanager
async def fake_gateway() -> AsyncIterator[str]:
    from solve import fake_models

    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(create_rsd_graph(*fake_models())), log_level="error"))
    serving = asyncio.create_task(server.serve([listening]))
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    server.should_exit = True
    await serving


async def ask(url: str, key: str, problem: str) -> None:
    async with AsyncOpenAI(base_url=url, api_key=key) as client:
        stream: Any = await client.chat.completions.create(
            model="rsd",
            messages=[{"role": "user", "content": problem}],
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"rsd": {"threshold": 0.7, "details": True}},
        )
        steps = []
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                print(chunk.choices[0].delta.content, end="", flush=True)
            if step := getattr(chunk, "rsd", {}).get("step"):
                steps.append(step)
            if chunk.usage:
                print(f"\n\n{chunk.usage.completion_tokens} tokens written by all models")
    for step in steps:
        print(f"step {step['index'] + 1}: {step['author']}, reward {step['reward']}")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problem", nargs="?", default=PROBLEM)
    parser.add_argument("--url", default="http://127.0.0.1:8100/v1", help="the gateway's address")
    parser.add_argument("--key", default="none", help="its key, if it has one")
    parser.add_argument("--fake", action="store_true", help="start a gateway with scripted models")
    options = parser.parse_args()
    if options.fake:
        async with fake_gateway() as url:
            await ask(url, options.key, options.problem)
    else:
        await ask(options.url, options.key, options.problem)


if __name__ == "__main__":
    asyncio.run(main())
