"""How much of a GPU's load one process carries: many problems at once on scripted servers over real HTTP.

    python benchmarks/throughput.py --problems 16 64 256

Three processes speak vLLM's API and sleep as its models would: the draft writes a token in 10 ms, the target in 30 ms,
and a reward takes 30 ms. An answer has 5 to 40 steps of 20 to 80 tokens, of which about 64 % are accepted. The bound is
the longest problem's time if nothing but the models took any. Servers and client share the machine.
"""

import argparse
import asyncio
import math
import os
import random
import re
import resource
import sys
import time
from typing import Any

from aiohttp import web
from rich.console import Console
from rich.table import Table

from rsd_graph import create_rsd_graph
from rsd_graph.models.vllm import VLLM
from rsd_graph.rewards import process_reward

NAMES = {"draft": "draft", "target": "target", "reward": "Skywork-o1-Open-PRM-Qwen-2.5-1.5B"}
SECONDS = {"draft": 0.01, "target": 0.03}
"""Per token."""
REQUEST, REWARD, THRESHOLD = 0.02, 0.03, 0.7
SETTINGS: Any = {"threshold": THRESHOLD, "max_tokens": 1_000_000, "max_step_tokens": 2048}
ASSISTANT = "<|assistant|>\n"


def drawn(*key: object) -> random.Random:
    """Numbers that depend on the key alone: any order of requests gives the same run."""
    return random.Random("/".join(map(str, key)))  # noqa: S311  # a script, no secret


def length(problem: int) -> int:
    """Steps of the answer."""
    return drawn("length", problem).randint(5, 40)


def tokens(role: str, problem: int, step: int) -> int:
    """Tokens of one step."""
    return drawn("tokens", role, problem, step).randint(20, 80)


def logit(problem: int, step: int) -> float:
    """Of the reward of the draft's step."""
    return drawn("reward", problem, step).gauss(1.2, 1.0)


def alone(problem: int, scale: float) -> float:
    """Seconds of one problem if nothing but the models took time."""
    seconds = 0.0
    for step in range(length(problem)):
        seconds += REQUEST + tokens("draft", problem, step) * SECONDS["draft"] + REWARD
        if 1 / (1 + math.exp(-logit(problem, step))) < THRESHOLD:
            seconds += REQUEST + tokens("target", problem, step) * SECONDS["target"]
    return seconds * scale


class Server:
    """One scripted server. Its tokens are bytes."""

    def __init__(self, role: str, scale: float) -> None:
        self.role, self.scale, self.requests = role, scale, 0

    async def answer(self, request: web.Request) -> web.Response:
        """Any request."""
        if request.path == "/count":
            return web.json_response(self.requests)
        self.requests += 1
        body = await request.json() if request.can_read_body else {}
        match request.path:
            case "/v1/models":
                return web.json_response({"data": [{"id": NAMES[self.role], "max_model_len": 1_000_000}]})
            case "/tokenize":
                return web.json_response({"tokens": list(_text(body).encode())})
            case "/detokenize":
                return web.json_response({"prompt": bytes(body["tokens"]).decode()})
            case "/v1/completions":
                return web.json_response(await self.completion(_text(body)))
            case "/classify":
                problem, step = _where(_text({"prompt": body["input"]}))
                await asyncio.sleep(REWARD * self.scale)
                usage = {"prompt_tokens": 1, "completion_tokens": 0}
                return web.json_response({"data": [{"probs": [logit(problem, step)]}], "usage": usage})
        raise web.HTTPNotFound

    async def completion(self, prompt: str) -> dict[str, Any]:
        """The next step."""
        problem, step = _where(prompt)
        count, last = tokens(self.role, problem, step), step + 1 >= length(problem)
        await asyncio.sleep((REQUEST + count * SECONDS[self.role]) * self.scale)
        text = f"{self.role} {step} " * (count // 4) + (rf"\boxed{{{problem}}}" if last else "")
        choice = {"text": text, "finish_reason": "stop", "stop_reason": None if last else "\n\n"}
        return {"choices": [choice], "usage": {"prompt_tokens": len(prompt), "completion_tokens": count}}


def _text(body: dict[str, Any]) -> str:
    if "messages" in body:
        said = "".join(f"<|{message['role']}|>\n{message['content']}\n" for message in body["messages"])
        return said + (ASSISTANT if body.get("add_generation_prompt", True) else "")
    prompt: str | list[int] = body["prompt"]
    return prompt if isinstance(prompt, str) else bytes(prompt).decode()


def _where(prompt: str) -> tuple[int, int]:
    """The problem's number, and how many steps of its answer the prompt holds."""
    problem = int(re.findall(r"problem-(\d+)", prompt)[-1])
    steps = re.findall(r"(?:draft|target) (\d+) ", prompt)
    return problem, len(set(steps)) if ASSISTANT in prompt else max(map(int, steps))


async def serve(role: str, scale: float) -> None:
    """Serve on a free port, and print which."""
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", Server(role, scale).answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)  # until the benchmark ends


async def measure(count: int, scale: float) -> list[str]:
    """One row of the table."""
    command = [sys.executable, __file__, "--scale", str(scale), "--serve"]
    pipe = asyncio.subprocess.PIPE
    servers = [await asyncio.create_subprocess_exec(*command, role, stdin=pipe, stdout=pipe) for role in NAMES]
    ports = [int(await server.stdout.readline()) for server in servers if server.stdout]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    draft, target, reward = VLLM(urls[0]), VLLM(urls[1]), process_reward(urls[2])
    try:
        graph = create_rsd_graph(draft, target, reward)
        await graph.ainvoke({"problem": "problem-999999"}, context={**SETTINGS, "max_steps": 1})
        memory, clock, used = peak(), time.perf_counter(), time.process_time()
        outs = await asyncio.gather(
            *(graph.ainvoke({"problem": f"problem-{i}"}, context=SETTINGS) for i in range(count))
        )
        seconds, used = time.perf_counter() - clock, time.process_time() - used
        requests = sum([await requests_of(url) for url in urls])
    finally:
        for model in (draft, target, reward):
            await model.aclose()
        for server in servers:
            server.terminate()
            await server.wait()
    wrong = sum(out["answer"] != str(i) or len(out["steps"]) != length(i) for i, out in enumerate(outs))
    steps = sum(len(out["steps"]) for out in outs)
    rewrites = sum(step.author == "target" for out in outs for step in out["steps"])
    bound = max(alone(i, scale) for i in range(count))
    return [
        str(count),
        f"{seconds:.1f}",
        f"{seconds / bound:.2f}",
        f"{1000 * used / steps:.1f}",
        f"{requests / steps:.2f} ({2 + rewrites / steps:.2f})",
        f"{1000 * (peak() - memory) / count:.0f}",
        str(wrong),
    ]


def peak() -> float:
    """Most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


async def requests_of(url: str) -> int:
    """How many requests the server has had."""
    from aiohttp import ClientSession

    async with ClientSession() as session, session.get(f"{url}/count") as answer:
        return int(await answer.json())


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, nargs="+", default=[16, 64, 256], help="problems at once")
    parser.add_argument("--scale", type=float, default=1.0, help="of all the models' times (default: 1)")
    parser.add_argument("--serve", choices=NAMES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        await serve(options.serve, options.scale)
        return
    table = Table("problems", "seconds", "times the bound", "CPU ms a step", "requests a step", "kB a run", "wrong")
    for count in options.problems:
        table.add_row(*await measure(count, options.scale))
    load = "/".join(f"{each:.1f}" for each in os.getloadavg())
    table.caption = f"In brackets: one request per generation and per reward. Load of the machine at the end: {load}"
    Console(width=110).print(table)


if __name__ == "__main__":
    asyncio.run(main())
