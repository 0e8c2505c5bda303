"""The embedded pair on two cores: the target alone and RSD, in one run, in turns.

    python benchmarks/embedded.py gsm8k-test-200.jsonl --limit 60 --chunk 20

The problems are solved in chunks. Each chunk is solved by every way (`--ways`), one after the other, and each chunk
begins with another way, so that whatever else the machine does hits all ways alike. Every way has model servers of its
own: none finds in its cache what another one has read. Beside the wall-clock, which depends on the machine's other
work, the table gives the CPU seconds of this process.

Ways: `target` (the target alone, without log-probabilities), `draft` (the same with the draft), `rsd`, and `rsd-whole`
(RSD that writes every draft step to its end). `rsd` and `rsd-whole` must decide the same; the table says where they do
not.

Each finished chunk is a line in `--results`: a run that was stopped resumes.
"""

import argparse
import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from langchain_core.messages import BaseMessage
from rich.console import Console
from rich.table import Table

from rsd_graph import Generation, Score, Step, TokenUsage, Usage, create_rsd_graph
from rsd_graph._internal.files import Journal
from rsd_graph.answers import same_answer
from rsd_graph.data.problems import Problem, read_problems
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp
from rsd_graph.models.weights import DRAFT, TARGET
from rsd_graph.rewards.confidence import ConfidenceReward

WAYS = ("target", "rsd", "rsd-whole", "draft")
ROLES = ("draft", "target")


class Unasked:
    """Stands where nothing is judged: every step of a single model is kept. It reads no log-probabilities."""

    name = "none"
    needs_logprobs = False

    async def score(self, *asked: Any) -> list[Score]:
        """See `RewardModel.score`."""
        return [Score(1.0) for _ in asked[2]]


class Patient:
    """A reward that says nothing about a step before it is whole."""

    def __init__(self, reward: ConfidenceReward) -> None:
        self.name = reward.name
        self._reward = reward

    async def score(
        self, messages: Sequence[BaseMessage], steps: Sequence[Step], candidates: Sequence[Generation]
    ) -> list[Score]:
        """See `RewardModel.score`."""
        return await self._reward.score(messages, steps, candidates)


@dataclass(frozen=True)
class Way:
    """A graph, and what every run of it chooses."""

    graph: Any
    context: dict[str, Any]


async def main() -> None:
    options = parse()
    problems = read_problems(options.data)[options.skip :][: options.limit]
    chunks = [problems[start : start + options.chunk] for start in range(0, len(problems), options.chunk)]
    options.results.parent.mkdir(parents=True, exist_ok=True)
    journal = Journal(options.results)
    done = {(record["way"], record["chunk"]) for record in journal.records}
    async with AsyncExitStack() as open_models:
        ways = {name: await open_models.enter_async_context(opened(name, options)) for name in options.ways}
        for index, chunk in enumerate(chunks):
            turn = index % len(options.ways)
            for name in options.ways[turn:] + options.ways[:turn]:
                if (name, index) not in done:
                    record = await solve_all(ways[name], chunk, options.in_flight)
                    journal.append({"way": name, "chunk": index, **record})
                    report(journal.records, options.ways)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="GSM8K problems, as JSON lines")
    parser.add_argument("--limit", type=int, default=60, help="how many problems to solve (default: 60)")
    parser.add_argument("--skip", type=int, default=0, help="how many problems to skip before them (default: 0)")
    parser.add_argument("--chunk", type=int, default=20, help="problems solved by a way in its turn (default: 20)")
    parser.add_argument("--in-flight", type=int, default=16, help="problems being solved at once (default: 16)")
    parser.add_argument("--slots", type=int, default=16, help="of each model (default: 16)")
    parser.add_argument("--threads", type=int, help="of a model that works alone (default: one per core)")
    parser.add_argument(
        "--pair-threads",
        type=int,
        help="of each model of RSD: where both fit on the cores, they compute at once (default: as --threads)",
    )
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["target", "rsd"], help="(default: target rsd)")
    parser.add_argument("--threshold", type=float, default=0.7, help="of RSD (default: 0.7)")
    parser.add_argument("--max-tokens", type=int, default=768, help="limit of one response (default: 768)")
    parser.add_argument(
        "--results", type=Path, default=Path("results/embedded.jsonl"), help="(default: results/embedded.jsonl)"
    )
    return parser.parse_args()


@asynccontextmanager
async def opened(name: str, options: argparse.Namespace) -> AsyncIterator[Way]:
    """The way of this name, with models of its own, loaded."""
    threads = options.threads if name in ROLES else options.pair_threads or options.threads
    shape: dict[str, Any] = {"slots": options.slots, "context": 2048, "threads": threads}
    context = {"threshold": options.threshold, "max_tokens": options.max_tokens}
    draft, target = EmbeddedLlamaCpp(DRAFT, **shape), EmbeddedLlamaCpp(TARGET, **shape)
    match name:
        case "draft" | "target":
            model = {"draft": draft, "target": target}[name]
            graph, needed = create_rsd_graph(model, model, Unasked()), [model]
        case _:
            reward = ConfidenceReward() if name == "rsd" else Patient(ConfidenceReward())
            graph, needed = create_rsd_graph(draft, target, reward), [draft, target]
    for model in needed:
        await model.start()
    try:
        yield Way(graph, context)
    finally:
        for model in needed:
            await model.aclose()


async def solve_all(way: Way, problems: Sequence[Problem], in_flight: int) -> dict[str, Any]:
    """What a way does with a chunk, and what it takes."""
    places = asyncio.Semaphore(in_flight)

    async def solve(problem: Problem) -> dict[str, Any]:
        async with places:
            state: dict[str, Any] = await way.graph.ainvoke({"problem": problem.text}, context=way.context)
            return state

    began, cpu = time.monotonic(), time.process_time()
    states = await asyncio.gather(*map(solve, problems))
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    solved = [
        {
            "response": state["response"],
            "authors": [step.author for step in state["steps"]],
            "accepted": [step.reward for step in state["steps"] if step.author == "draft"],
            "stop": state["stop"],
            "correct": same_answer(state["answer"], problem.answer),
            "usage": asdict(state["usage"]),
        }
        for state, problem in zip(states, problems, strict=True)
    ]
    return {"seconds": seconds, "cpu": cpu, "solved": solved}


def report(records: Sequence[dict[str, Any]], ways: Sequence[str]) -> None:
    """Print what all ways have done so far, of the chunks that every one of them has solved."""
    by_chunk = {(record["way"], record["chunk"]): record for record in records}
    chunks = [chunk for name, chunk in by_chunk if name == ways[0] and all((way, chunk) in by_chunk for way in ways)]
    if not chunks:
        return
    table = Table("way", "problems", "correct", "seconds", "CPU s", "of the first", "draft wrote", "of it discarded")
    for title in ("draft read", "target wrote", "target read", "steps by the draft"):
        table.add_column(title)
    first = sum(by_chunk[ways[0], chunk]["cpu"] for chunk in chunks)
    for way in ways:
        mine = [by_chunk[way, chunk] for chunk in chunks]
        solved = [each for record in mine for each in record["solved"]]
        used = sum((usage_of(each["usage"], way) for each in solved), Usage())
        authors = [author for each in solved for author in each["authors"]]
        cpu = sum(record["cpu"] for record in mine)
        table.add_row(
            way,
            str(len(solved)),
            f"{sum(each['correct'] for each in solved) / len(solved):.1%}",
            f"{sum(record['seconds'] for record in mine):.0f}",
            f"{cpu:.0f}",
            f"{cpu / first:.2f}",
            str(used.draft.completion),
            str(used.discarded),
            str(used.draft.prompt - used.draft.cached),
            str(used.target.completion),
            str(used.target.prompt - used.target.cached),
            "" if way in ROLES else f"{authors.count('draft') / len(authors):.0%}",
        )
    console = Console(width=140)
    console.print(table)
    if {"rsd", "rsd-whole"} <= set(ways):
        pairs = [
            (one, other)
            for chunk in chunks
            for one, other in zip(by_chunk["rsd", chunk]["solved"], by_chunk["rsd-whole", chunk]["solved"], strict=True)
        ]
        same = sum(one["response"] == other["response"] and one["authors"] == other["authors"] for one, other in pairs)
        console.print(f"rsd and rsd-whole: the same text by the same authors for {same} of {len(pairs)} problems")


def usage_of(record: dict[str, Any], way: str) -> Usage:
    """The usage in a record. A single model runs in the draft's place, whatever it is."""
    roles: dict[str, Any] = {role: TokenUsage(**record[role]) for role in ROLES}
    if way == "target":
        roles["draft"], roles["target"] = TokenUsage(), roles["draft"]
    return Usage(**roles, discarded=record["discarded"])


if __name__ == "__main__":
    asyncio.run(main())
