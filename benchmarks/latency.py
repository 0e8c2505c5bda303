"""How long one run takes with each wrapper of `rsd_graph.latency`, with all of them, and what that costs in tokens.

    python benchmarks/latency.py --plot docs/latency.png

Scripted models that sleep stand for draft, reward model and target, over a grid of their latencies and of how many
steps are accepted. "Limit" is the duration that the same script has without any overhead: computed, not measured. All
runs are one after another, so that none disturbs the other.

The script of a run: `--steps` steps of 40 tokens, of which a given share is accepted. Half of the accepted steps, and
one in twenty of the others, are such that the draft is sure of them; four in five of the rejected steps, and one in ten
of the others, are such that it is unsure. The target reads each step that it has not read yet in a tenth of the time
that it takes to write one. Without a gate, all runs of a line write the same text.
"""

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from langchain_core.messages import BaseMessage
from rich import box
from rich.console import Console
from rich.table import Table

from rsd_graph import Generation, RSDSettings, Score, Step, TokenUsage, Usage, create_rsd_graph
from rsd_graph.latency import faster

WRAPPERS: dict[str, dict[str, Any]] = {
    "plain": {"ahead": False},
    "ahead": {"ahead": True},
    "warm": {"ahead": False, "warm": True},
    "gate": {"ahead": False, "gate": 0.99},
    "hedge": {"ahead": False, "hedge": 0.5},
    "ahead, hedge": {"ahead": True, "hedge": 0.5},
    "all": {"ahead": True, "warm": True, "gate": 0.99, "hedge": 0.5},
}
LATENCIES = [(100, 20, 300), (100, 100, 300), (50, 150, 300), (100, 50, 1000)]
"""Milliseconds that draft, reward and target take for one step."""
ACCEPTED = [0.5, 0.8, 1.0]
TOKENS = 40
"""In each step."""
READING = 0.1
"""What it takes to read a step, of what it takes to write one."""
SURE = {True: 0.5, False: 0.05}
"""Share of the accepted and of the rejected steps of which the draft is sure."""
UNSURE = {True: 0.1, False: 0.8}
SURPRISAL = {"sure": 0.0, "so-so": 3.0, "unsure": 50.0}


@dataclass(frozen=True)
class Script:
    """What happens in a run."""

    draft: float
    """Seconds per step; as those of the next two."""
    reward: float
    target: float
    accepted: tuple[bool, ...]
    """Whether the reward model accepts the draft's step, for each step."""
    confidence: tuple[str, ...]
    """How sure the draft is of it."""

    @property
    def reading(self) -> float:
        """Seconds that the target takes to read a step."""
        return READING * self.target


def script(latencies: Sequence[int], share: float, steps: int, seed: int) -> Script:
    """A script in which exactly this share of the steps is accepted."""
    chance = random.Random(seed)  # noqa: S311  # a script, no secret
    accepted = [index < round(share * steps) for index in range(steps)]
    chance.shuffle(accepted)
    confidence = ["so-so"] * steps
    for kind in (True, False):
        these = [index for index in range(steps) if accepted[index] is kind]
        chance.shuffle(these)
        sure, unsure = round(SURE[kind] * len(these)), round(UNSURE[kind] * len(these))
        for index in these[:sure]:
            confidence[index] = "sure"
        for index in these[sure : sure + unsure]:
            confidence[index] = "unsure"
    draft, reward, target = (each / 1000 for each in latencies)
    return Script(draft, reward, target, tuple(accepted), tuple(confidence))


@dataclass
class Server:
    """A model that sleeps as long as its script says, and counts the tokens that it has written, wanted or not."""

    name: str
    script: Script
    writing: float
    """Seconds per step."""
    reading: float
    """Seconds to read a step that is not in its cache."""
    cached: int = 0
    """Steps in its cache."""
    tokens: float = 0

    async def generate(
        self,
        messages: Sequence[BaseMessage],  # noqa: ARG002  # of the protocol
        response: str,
        *,
        settings: RSDSettings,
        n: int = 1,
    ) -> list[Generation]:
        """See `StepGenerator.generate`."""
        index = response.count(settings.delimiter)
        tokens = min(TOKENS, settings.max_step_tokens)
        writes_at = time.perf_counter() + self.reading * max(0, index - self.cached)
        ends_at = writes_at + self.writing * tokens / TOKENS
        try:
            await asyncio.sleep(ends_at - time.perf_counter())
        finally:
            now = time.perf_counter()
            if now >= writes_at:
                self.cached = max(self.cached, index + (tokens == TOKENS and now >= ends_at))
            self.tokens += tokens * min(1.0, max(0.0, (now - writes_at) / (ends_at - writes_at)))
        finish = "eos" if index + 1 == len(self.script.accepted) else "delimiter"
        surprisal = SURPRISAL[self.script.confidence[index]]
        generation = Generation(
            f"{self.name} {index}",
            finish,  # type: ignore[arg-type]
            TokenUsage(prompt=100 + TOKENS * index, cached=100 + TOKENS * self.cached, completion=tokens),
            (-surprisal / tokens,) * tokens,
        )
        return [generation] * n


@dataclass
class Judge:
    """A reward model that sleeps."""

    script: Script
    name: str = "reward"

    async def score(
        self,
        messages: Sequence[BaseMessage],  # noqa: ARG002  # of the protocol
        steps: Sequence[Step],
        candidates: Sequence[Generation],
    ) -> list[Score]:
        """See `RewardModel.score`."""
        await asyncio.sleep(self.script.reward)
        return [Score(0.9 if self.script.accepted[len(steps)] else 0.1)] * len(candidates)


@dataclass(frozen=True)
class Measured:
    """One run."""

    seconds: float
    limit: float
    """Seconds."""
    tokens: float
    """That draft and target wrote, by their own count."""
    counted: int
    """The same as the run's usage has it."""
    response: str = field(repr=False)


async def measure(run: Script, wrappers: dict[str, Any]) -> Measured:
    """Solve a problem by the script."""
    draft = Server("draft", run, run.draft, 0.0)
    target = Server("target", run, run.target, run.reading)
    graph = create_rsd_graph(*faster(draft, target, Judge(run), **wrappers))
    began = time.perf_counter()
    out = await graph.ainvoke({"problem": "p"}, context={"max_steps": len(run.accepted), "max_tokens": 10**6})
    seconds = time.perf_counter() - began
    await asyncio.sleep(0)  # what was cancelled last counts its tokens
    usage: Usage = out["usage"]
    counted = usage.draft.completion + usage.target.completion
    return Measured(seconds, limit(run, wrappers), draft.tokens + target.tokens, counted, out["response"])


def limit(run: Script, wrappers: dict[str, Any]) -> float:
    """Seconds that the script takes where nothing but the models takes time."""
    proposed = run.draft
    known_until = 0  # steps that the target has read or written
    read_at = 0.0  # when it has read what it was given to read
    kept = 0.0
    for index, accepted in enumerate(run.accepted):
        passes = "gate" in wrappers and run.confidence[index] == "sure"
        scored = proposed if passes else proposed + run.reward
        hedged = not passes and "hedge" in wrappers and run.confidence[index] == "unsure"
        began = max(read_at, proposed if hedged else scored)
        read = began + run.reading * (index - known_until)
        if accepted or passes:
            kept = scored
            known_until = index if hedged and read <= scored else known_until
            following = max(scored, proposed + run.draft) if wrappers["ahead"] else scored + run.draft
            if wrappers.get("warm") and read_at <= scored:
                read_at = scored + run.reading * (index + 1 - known_until) + run.target / TOKENS
                known_until = index + 1
        else:
            kept = max(scored, read + run.target)
            known_until = index + 1
            following = kept + run.draft
        proposed = following
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=12, help="steps per run (default: 12)")
    parser.add_argument("--rounds", type=int, default=3, help="runs per cell, of which the median counts (default: 3)")
    parser.add_argument("--seed", type=int, default=0, help="of the scripts (default: 0)")
    parser.add_argument("--plot", type=Path, help="where to draw a picture")
    options = parser.parse_args()
    rows = list(asyncio.run(measure_all(options.steps, options.rounds, options.seed)))
    console = Console(width=160)
    console.print(durations(rows))
    console.print(tokens(rows))
    ratios = [per_step(row, options.steps) for row in rows if row.accepted == 1.0]
    told = ", ".join(f"{ratio:.3f}" for ratio in ratios)
    console.print(f"ahead, all accepted: seconds per step, times max(draft, reward): {told}")
    off = [abs(cell.counted / cell.tokens - 1) for row in rows for cell in row.cells.values()]
    console.print(
        f"tokens in usage against those written: {max(off):.1%} off at most, {statistics.median(off):.1%} median"
    )
    if options.plot:
        draw(rows, options.plot)


def per_step(row: "Row", steps: int) -> float:
    """What a step takes, after the first draft or before the last reward has nothing to overlap with."""
    draft, reward, _ = (each / 1000 for each in row.latencies)
    return (row.cells["ahead"].seconds - min(draft, reward)) / steps / max(draft, reward)


@dataclass(frozen=True)
class Row:
    """The runs of one script."""

    latencies: tuple[int, int, int]
    accepted: float
    cells: dict[str, Measured]

    @property
    def head(self) -> Iterator[str]:
        """What the script was made of."""
        yield from (str(each) for each in self.latencies)
        yield f"{self.accepted:.0%}"


async def measure_all(steps: int, rounds: int, seed: int) -> list[Row]:
    """All cells of the grid."""
    rows = []
    for latencies, share in product(LATENCIES, ACCEPTED):
        run = script(latencies, share, steps, seed)
        cells = {}
        for name, wrappers in WRAPPERS.items():
            measured = [await measure(run, wrappers) for _ in range(rounds)]
            cells[name] = sorted(measured, key=lambda each: each.seconds)[rounds // 2]
            if "gate" not in wrappers and cells[name].response != cells["plain"].response:
                raise SystemExit(f"{name} has changed the text of the run: {run}")
        rows.append(Row(latencies, share, cells))
    return rows


HEAD = ("draft ms", "reward ms", "target ms", "accepted")


def durations(rows: Sequence[Row]) -> Table:
    """Seconds of each run, and how many times the limit that is."""
    table = Table(*HEAD, *WRAPPERS, box=box.MARKDOWN, title="seconds per run (times the limit)")
    for row in rows:
        table.add_row(
            *row.head, *(f"{cell.seconds:.2f} ({cell.seconds / cell.limit:.2f})" for cell in row.cells.values())
        )
    return table


def tokens(rows: Sequence[Row]) -> Table:
    """Tokens that draft and target wrote, kept or not."""
    table = Table(*HEAD, *WRAPPERS, box=box.MARKDOWN, title="tokens written")
    for row in rows:
        table.add_row(*row.head, *(f"{cell.tokens:.0f}" for cell in row.cells.values()))
    return table


def draw(rows: Sequence[Row], file: Path) -> None:
    """A panel for each set of latencies: duration against the plain run's, and the limits."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(LATENCIES), figsize=(4 * len(LATENCIES), 4), sharey=True)
    for panel, latencies in zip(axes, LATENCIES, strict=True):
        these = [row for row in rows if row.latencies == latencies]
        x = [100 * row.accepted for row in these]
        for number, name in enumerate(WRAPPERS):
            if name == "plain":
                continue
            plain = [row.cells["plain"].seconds for row in these]
            y = [row.cells[name].seconds / base for row, base in zip(these, plain, strict=True)]
            least = [row.cells[name].limit / base for row, base in zip(these, plain, strict=True)]
            panel.plot(x, y, "o-", color=f"C{number}", label=name)
            panel.plot(x, least, ":", color=f"C{number}")
        panel.set_title("draft {}, reward {}, target {} ms".format(*latencies), fontsize=10)
        panel.set_xlabel("accepted steps, %")
        panel.grid(alpha=0.3)
    axes[0].set_ylabel("duration, plain run = 1 (dotted: limit)")
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(file, dpi=110)


if __name__ == "__main__":
    main()
