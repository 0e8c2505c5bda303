"""Draft alone, target alone and RSD at several thresholds, on the embedded pair: accuracy, time and target tokens.

    python benchmarks/gsm8k.py gsm8k-test-200.jsonl --limit 60 --threshold 0.7 0.85 0.95

Every solved problem is a line in `results/NAME.jsonl`, and is not solved again: a run that was stopped goes on where it
was.
"""

import argparse
import asyncio
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from rsd_graph import Generation, create_rsd_graph
from rsd_graph.answers import same_answer
from rsd_graph.costs import Parameters, flops
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp
from rsd_graph.models.weights import DRAFT, TARGET
from rsd_graph.rewards.confidence import ConfidenceReward
from rsd_graph.state import TokenUsage, Usage


async def main() -> None:
    options = parse()
    rows = [json.loads(line) for line in options.data.read_text().splitlines()][options.skip :][: options.limit]
    options.results.mkdir(parents=True, exist_ok=True)
    draft = EmbeddedLlamaCpp(DRAFT, slots=options.concurrency, context=2048)
    target = EmbeddedLlamaCpp(TARGET, slots=options.concurrency, context=2048)
    reward = ConfidenceReward()
    # with every draft step accepted, the graph is the draft model alone
    strategies = {"draft-only": (draft, draft, 0.0), "target-only": (target, target, 0.0)}
    strategies |= {f"rsd-{threshold:g}": (draft, target, threshold) for threshold in options.threshold}
    for name in options.only or strategies:
        first, second, threshold = strategies[name]
        graph = create_rsd_graph(first, second, reward)
        context = {"threshold": threshold, "max_tokens": options.max_tokens}
        await solve_all(graph, context, rows, options.results / f"{name}.jsonl", options.concurrency)
    report(options.results, list(strategies), Parameters(draft.parameters or 0, target.parameters or 0))
    if options.plot:
        plot(options.results, list(strategies), options.plot)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="GSM8K problems, as JSON lines")
    parser.add_argument("--limit", type=int, default=60, help="solve that many problems (default: 60)")
    parser.add_argument("--skip", type=int, default=0, help="leave out that many problems before them (default: 0)")
    parser.add_argument(
        "--threshold", type=float, nargs="*", default=[0.7, 0.85, 0.95], help="of RSD (default: 0.7 0.85 0.95)"
    )
    parser.add_argument("--only", nargs="*", help="strategies to run, such as draft-only rsd-0.7 (default: all)")
    parser.add_argument("--concurrency", type=int, default=8, help="problems solved at once (default: 8)")
    parser.add_argument("--max-tokens", type=int, default=768, help="of one response (default: 768)")
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="folder of the results (default: results)"
    )
    parser.add_argument("--plot", type=Path, help="also draw accuracy over target tokens into this file")
    return parser.parse_args()


async def solve_all(
    graph: Any, context: dict[str, Any], rows: list[dict[str, Any]], file: Path, concurrency: int
) -> None:
    """Solve what `file` does not hold yet, some at a time. Each line says how long its share of the batch took."""
    done = {record["problem"] for record in read(file)}
    places = asyncio.Semaphore(concurrency)

    async def solve_in_turn(row: dict[str, Any]) -> dict[str, Any]:
        async with places:
            return await solve(graph, context, row)

    work = [solve_in_turn(row) for row in rows if row["question"] not in done]
    clock = time.monotonic()
    with file.open("a") as out:
        for next_done in track(asyncio.as_completed(work), description=file.stem, total=len(work)):
            record = await next_done
            now = time.monotonic()
            record["seconds"], clock = now - clock, now
            out.write(json.dumps(record) + "\n")
            out.flush()


async def solve(graph: Any, context: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """One problem's record: its steps with their log-probabilities, the answer, and what it cost."""
    logprobs: list[tuple[float, ...] | None] = []
    proposal: Generation | None = None
    state: dict[str, Any] = {}
    async for mode, chunk in graph.astream(
        {"problem": row["question"]}, context=context, stream_mode=["updates", "values"]
    ):
        if mode == "values":
            state = chunk
            continue
        update = next(iter(chunk.values())) or {}
        if "check" in chunk and len(update["steps"]) > len(logprobs):
            logprobs.append(proposal.logprobs if proposal else None)
        proposal = update.get("proposal") or proposal
    reference = row["answer"].split("####")[-1].strip()
    return {
        "problem": row["question"],
        "reference": reference,
        "answer": state["answer"],
        "correct": await asyncio.to_thread(same_answer, state["answer"], reference),
        "stop": state["stop"],
        "steps": [asdict(step) | {"logprobs": own} for step, own in zip(state["steps"], logprobs, strict=True)],
        "usage": asdict(state["usage"]),
    }


def report(results: Path, names: list[str], parameters: Parameters) -> None:
    """Print the table of all strategies that have results."""
    table = Table(
        "strategy", "problems", "correct", "wall-clock s", "target tokens", "steps by draft", "FLOPs / target-only"
    )
    for name in names:
        records = read(results / f"{name}.jsonl")
        if not records:
            continue
        alone = name == "target-only"
        steps = [step for record in records for step in record["steps"]]
        usages = [usage_of(record["usage"], alone) for record in records]
        cost = [flops(usage, parameters) for usage in usages]
        table.add_row(
            name,
            str(len(records)),
            f"{sum(record['correct'] for record in records) / len(records):.1%}",
            f"{sum(record['seconds'] for record in records):.0f}",
            f"{sum(usage.target.completion for usage in usages)}",
            "0%" if alone else f"{sum(step['author'] == 'draft' for step in steps) / len(steps):.0%}",
            f"{sum(each.total for each in cost) / sum(each.target_only for each in cost):.2f}",
        )
    Console(width=110).print(table)


def plot(results: Path, names: list[str], picture: Path) -> None:
    """Draw RSD's points beside the straight line from draft-only to target-only: what mixing at random would give."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    points = {}
    for name in names:
        if records := read(results / f"{name}.jsonl"):
            tokens = [usage_of(record["usage"], name == "target-only").target.completion for record in records]
            right = [record["correct"] for record in records]
            points[name] = (sum(tokens) / len(tokens), 100 * sum(right) / len(right))
    figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
    ends = [points.pop(name) for name in ("draft-only", "target-only")]
    axes.plot(*zip(*ends, strict=True), "o--", color="grey", label="one model alone, and mixing both at random")
    rsd = sorted(points.items(), key=lambda item: item[1])
    axes.plot(*zip(*(point for _, point in rsd), strict=True), "o-", color="tab:purple", label="RSD, by threshold")
    for name, point in rsd:
        axes.annotate(name.removeprefix("rsd-"), point, textcoords="offset points", xytext=(-6, 7), ha="right")
    axes.set(xlabel="target tokens a problem", ylabel="correct (%)", ylim=(0, 100))
    axes.legend(loc="lower right")
    figure.savefig(picture)


def read(file: Path) -> list[dict[str, Any]]:
    """The records in the file; none if it is not there."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def usage_of(record: dict[str, Any], target_only: bool) -> Usage:
    """The usage of a record; where the target ran in the draft's place, its tokens are the target's."""
    roles: dict[str, Any] = {role: TokenUsage(**record[role]) for role in ("draft", "target", "reward")}
    if target_only:
        roles["draft"], roles["target"] = TokenUsage(), roles["draft"]
    return Usage(**roles, **{key: record[key] for key in ("discarded", "question", "response")})


if __name__ == "__main__":
    asyncio.run(main())
