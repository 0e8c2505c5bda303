"""Draft alone, target alone and RSD at several thresholds, on the embedded pair: accuracy, time and target tokens.

    python benchmarks/gsm8k.py gsm8k-test-200.jsonl --limit 60 --threshold 0.7 0.85 0.95

Every solved problem is a line in `results/NAME.jsonl`, a recorded solution with its usage and times. It is not solved
again: a run that was stopped resumes. With `--remember`, greedy steps are reused: a step that any strategy has computed
after the same prefix is not computed again. Many thresholds then cost little more than one, but times and FLOPs mean
nothing.
"""

import argparse
import asyncio
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from langchain_core.messages import BaseMessage
from rich.console import Console
from rich.progress import track
from rich.table import Table

from rsd_graph import Generation, RewardModel, RSDSettings, create_rsd_graph
from rsd_graph._internal.files import Journal
from rsd_graph.answers import same_answer
from rsd_graph.costs import Parameters, flops
from rsd_graph.data.problems import Problem, read_problems
from rsd_graph.data.solutions import Solution, from_record, to_record
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp
from rsd_graph.models.weights import DRAFT, TARGET
from rsd_graph.protocols import generating
from rsd_graph.rewards.confidence import ConfidenceReward
from rsd_graph.rewards.trained.embedded import combined_reward, trained_reward
from rsd_graph.rewards.trained.file import SHIPPED
from rsd_graph.state import Step, TokenUsage, Usage

DELIMITER = RSDSettings().delimiter


async def main() -> None:
    options = parse()
    problems = read_problems(options.data)[options.skip :][: options.limit]
    options.results.mkdir(parents=True, exist_ok=True)
    draft = EmbeddedLlamaCpp(DRAFT, slots=options.concurrency, context=2048)
    target = EmbeddedLlamaCpp(TARGET, slots=options.concurrency, context=2048)
    reward, size = reward_model(options.reward, options.concurrency)
    pair: list[Any] = [draft, target]
    if options.remember:
        pair = remembering(pair, options.results)
    # where every draft step is accepted, the graph is the draft alone; it measures tokens and times as for RSD
    strategies: dict[str, tuple[Any, Any, float]] = {
        "draft-only": (draft, draft, 0.0),
        "target-only": (target, target, 0.0),
    }
    prefix = f"rsd-{Path(options.reward).stem}-"
    strategies |= {f"{prefix}{threshold:g}": (*pair, threshold) for threshold in options.threshold}
    for name in options.only or strategies:
        first, second, threshold = strategies[name]
        graph = create_rsd_graph(first, second, reward if threshold else ConfidenceReward())
        context = {"threshold": threshold, "max_tokens": options.max_tokens}
        await solve_all(graph, context, problems, options.results / f"{name}.jsonl", options.concurrency)
    parameters = Parameters(draft.parameters or 0, target.parameters or 0, size)
    report(options.results, list(strategies), None if options.remember else parameters)
    if options.plot:
        plot(options.results, options.plot)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="GSM8K problems, as JSON lines")
    parser.add_argument("--limit", type=int, default=60, help="how many problems to solve (default: 60)")
    parser.add_argument("--skip", type=int, default=0, help="how many problems to skip before them (default: 0)")
    parser.add_argument(
        "--threshold",
        type=float,
        nargs="*",
        default=[0.7, 0.85, 0.95],
        help="thresholds of RSD (default: 0.7 0.85 0.95)",
    )
    parser.add_argument(
        "--reward",
        default="confidence",
        help="confidence, trained, combined, or a reward file (default: confidence)",
    )
    parser.add_argument("--remember", action="store_true", help="compute each greedy step once for all thresholds")
    parser.add_argument(
        "--only", nargs="*", help="strategies to run, such as draft-only rsd-trained-0.3 (default: all)"
    )
    parser.add_argument("--concurrency", type=int, default=8, help="problems solved at once (default: 8)")
    parser.add_argument("--max-tokens", type=int, default=768, help="limit of one response (default: 768)")
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="folder for the results (default: results)"
    )
    parser.add_argument("--plot", type=Path, help="also plot accuracy over target tokens into this file")
    return parser.parse_args()


def reward_model(name: str, slots: int) -> tuple[RewardModel, float]:
    """The reward of this name, and its number of parameters."""
    match name:
        case "confidence":
            return ConfidenceReward(), 0.0
        case "combined":
            combined = combined_reward(slots=slots, context=2048)
            return combined, combined.trained.parameters or 0.0
    reward = trained_reward(SHIPPED if name == "trained" else Path(name), slots=slots, context=2048)
    return reward, reward.parameters or 0.0


class Remembering:
    """A greedy model that never computes the same step twice."""

    def __init__(self, model: EmbeddedLlamaCpp) -> None:
        self.name = model.name
        self.known: dict[tuple[str, str], Generation] = {}
        self._model = model

    async def generate(
        self, messages: Sequence[BaseMessage], response: str, *, settings: RSDSettings, n: int = 1
    ) -> list[Generation]:
        """See `StepGenerator.generate`."""
        key = (messages[-1].text, response)
        if key not in self.known:
            with generating(logprobs=True):  # whole: a step that this threshold rejects may pass another one
                (self.known[key],) = await self._model.generate(messages, response, settings=settings, n=n)
        return [self.known[key]]


def remembering(pair: Sequence[EmbeddedLlamaCpp], results: Path) -> list[Remembering]:
    """Both models, with the steps that earlier runs recorded."""
    models = [Remembering(model) for model in pair]
    for file in results.glob("*.jsonl"):
        for record in read(file):
            before = ""
            for step, kept in zip(from_record(record).steps, record["steps"], strict=True):
                target = file.stem == "target-only" or kept["author"] == "target"
                models[target].known[record["problem"], before] = step
                before += step.text + ("" if step.finish == "length" else DELIMITER)
    return models


async def solve_all(
    graph: Any, context: dict[str, Any], problems: Sequence[Problem], file: Path, concurrency: int
) -> None:
    """Solve what `file` does not hold yet, several at a time. Each line says how long its share of the batch took."""
    journal = Journal(file)
    done = {record["problem"] for record in journal.records}
    places = asyncio.Semaphore(concurrency)

    async def solve_in_turn(problem: Problem) -> dict[str, Any]:
        async with places:
            return await solve(graph, context, problem)

    work = [solve_in_turn(problem) for problem in problems if problem.text not in done]
    clock = time.monotonic()
    for next_done in track(asyncio.as_completed(work), description=file.stem, total=len(work)):
        record = await next_done
        now = time.monotonic()
        record["seconds"], clock = now - clock, now
        journal.append(record)


async def solve(graph: Any, context: dict[str, Any], problem: Problem) -> dict[str, Any]:
    """One problem's record: the solution, who wrote each step, its reward, why it ended, and the usage."""
    logprobs: list[tuple[float, ...] | None] = []
    proposal: Generation | None = None
    state: dict[str, Any] = {}
    async for mode, chunk in graph.astream(
        {"problem": problem.text}, context=context, stream_mode=["updates", "values"]
    ):
        if mode == "values":
            state = chunk
            continue
        update = next(iter(chunk.values())) or {}
        if "check" in chunk and update["steps"].new:
            logprobs.append(proposal.logprobs if proposal else None)
        proposal = update.get("proposal") or proposal
    kept: list[Step] = state["steps"]
    steps = tuple(
        Generation(step.text, step.finish, TokenUsage(completion=step.tokens), own)
        for step, own in zip(kept, logprobs, strict=True)
    )
    correct = await asyncio.to_thread(same_answer, state["answer"], problem.answer)
    record = to_record(Solution(problem.text, steps, correct, problem.answer, state["answer"]))
    for written, step in zip(record["steps"], kept, strict=True):
        written |= {"author": step.author, "reward": step.reward}
    return record | {"stop": state["stop"], "usage": asdict(state["usage"])}


def report(results: Path, names: list[str], parameters: Parameters | None) -> None:
    """Print a table of all strategies that have results, with times and FLOPs where they were measured."""
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
        cost = [flops(usage, parameters) for usage in usages] if parameters else []
        table.add_row(
            name,
            str(len(records)),
            f"{sum(record['correct'] for record in records) / len(records):.1%}",
            f"{sum(record['seconds'] for record in records):.0f}" if cost else "",
            f"{sum(usage.target.completion for usage in usages)}",
            "0%" if alone else f"{sum(step['author'] == 'draft' for step in steps) / len(steps):.0%}",
            f"{sum(each.total for each in cost) / sum(each.target_only for each in cost):.2f}" if cost else "",
        )
    Console(width=110).print(table)


def plot(results: Path, picture: Path) -> None:
    """Plot every reward's points, and the line from draft-only to target-only, which random mixing would give."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    points = {}
    for file in results.glob("*.jsonl"):
        records = read(file)
        if not records:
            continue
        tokens = [usage_of(record["usage"], file.stem == "target-only").target.completion for record in records]
        right = [record["correct"] for record in records]
        points[file.stem] = (sum(tokens) / len(tokens), 100 * sum(right) / len(right))
    figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
    ends = [points.pop(name) for name in ("draft-only", "target-only")]
    axes.plot(*zip(*ends, strict=True), "o--", color="grey", label="one model alone, and mixing both at random")
    for reward, colour in zip(
        sorted({name.split("-")[1] for name in points}), ("tab:green", "tab:orange", "tab:purple"), strict=False
    ):
        curve = sorted((point, name) for name, point in points.items() if name.split("-")[1] == reward)
        axes.plot(*zip(*(point for point, _ in curve), strict=True), "o-", color=colour, label=f"RSD, {reward}")
        for point, name in curve:
            threshold = name.split("-")[2]
            axes.annotate(
                threshold, point, textcoords="offset points", xytext=(-6, 7), ha="right", color=colour, fontsize=8
            )
    axes.set(xlabel="target tokens per problem", ylabel="correct (%)", ylim=(0, 100))
    axes.legend(loc="upper left")
    figure.savefig(picture)


def read(file: Path) -> list[dict[str, Any]]:
    """The records in the file; none if it does not exist."""
    return Journal(file).records


def usage_of(record: dict[str, Any], target_only: bool) -> Usage:
    """The usage in a record. Where the target ran in the draft's place, the draft's tokens are the target's."""
    roles: dict[str, Any] = {role: TokenUsage(**record[role]) for role in ("draft", "target", "reward")}
    if target_only:
        roles["draft"], roles["target"] = TokenUsage(), roles["draft"]
    return Usage(**roles, **{key: record[key] for key in ("discarded", "question", "response")})


if __name__ == "__main__":
    asyncio.run(main())
