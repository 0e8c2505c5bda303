"""Tools or none: the embedded pair with and without Python between its steps, in one run, in turns.

    python benchmarks/tool_use.py gsm8k-test-200.jsonl math500-100.jsonl

Of GSM8K it takes the problems whose reference solutions compute most, by the digits in their calculations; of MATH500
the first. Every way solves the same problems with the same greedy models and the confidence reward. The ways:

- `off`: no code is run;
- `python`: code runs in steps that are kept, and the models are asked as Qwen2.5-Math is;
- `program`: the same, and the models are asked for a program first;
- `before`: as `program`, and the draft's code runs before its step is scored (`tools_before_score`).

Each way that has solved a data set is a line in `--results`: a run that was stopped resumes.
"""

import argparse
import asyncio
import json
import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from embedded import Way, solve_all, usage_of
from rich.console import Console
from rich.table import Table

from rsd_graph import Usage, create_rsd_graph
from rsd_graph._internal.files import Journal
from rsd_graph.data.problems import Problem, read_problems
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp
from rsd_graph.models.weights import DRAFT, TARGET
from rsd_graph.rewards.confidence import ConfidenceReward

PROGRAM = (
    "Solve the problem with a Python program. First write the program in a ```python block: it computes the answer "
    "from the numbers of the problem, and prints it. The program is run, and its output follows in an ```output block. "
    "Then put the final answer within \\boxed{}."
)

WAYS: dict[str, dict[str, Any]] = {
    "off": {"tools": "off"},
    "python": {"tools": "python"},
    "program": {"tools": "python", "system_prompt": PROGRAM},
    "before": {"tools": "python", "system_prompt": PROGRAM, "tools_before_score": True},
}


async def main() -> None:
    options = parse()
    sets = {"GSM8K": heavy(options.gsm8k, options.of_gsm8k), "MATH500": read_problems(options.math)[: options.of_math]}
    options.results.parent.mkdir(parents=True, exist_ok=True)
    journal = Journal(options.results)
    done = {(record["way"], record["data"]) for record in journal.records}
    shape: dict[str, Any] = {"slots": options.in_flight, "context": 4096, "threads": options.threads}
    draft, target = EmbeddedLlamaCpp(DRAFT, **shape), EmbeddedLlamaCpp(TARGET, **shape)
    graph = create_rsd_graph(draft, target, ConfidenceReward())
    try:
        await asyncio.gather(draft.start(), target.start())
        for (data, problems), way in product(sets.items(), options.ways):
            if (way, data) not in done:
                context = {**WAYS[way], "threshold": options.threshold, "max_tokens": options.max_tokens}
                record = await solve_all(Way(graph, context), problems, options.in_flight)
                journal.append({"way": way, "data": data, **record})
                report(journal.records)
    finally:
        await asyncio.gather(draft.aclose(), target.aclose())


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gsm8k", type=Path, help="GSM8K problems, as JSON lines")
    parser.add_argument("math", type=Path, help="MATH500 problems, as JSON lines")
    parser.add_argument("--of-gsm8k", type=int, default=40, help="how many of GSM8K (default: 40)")
    parser.add_argument("--of-math", type=int, default=20, help="how many of MATH500 (default: 20)")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="(default: all)")
    parser.add_argument("--threshold", type=float, default=0.7, help="(default: 0.7)")
    parser.add_argument("--max-tokens", type=int, default=1024, help="limit of one response (default: 1024)")
    parser.add_argument("--in-flight", type=int, default=8, help="problems being solved at once (default: 8)")
    parser.add_argument("--threads", type=int, help="of each model (default: one per core)")
    parser.add_argument(
        "--results", type=Path, default=Path("results/tools.jsonl"), help="(default: results/tools.jsonl)"
    )
    return parser.parse_args()


def heavy(file: Path, count: int) -> list[Problem]:
    """The problems whose reference solutions have most digits in their calculations: what is between `<<` and `>>`."""
    lines = file.read_text(encoding="utf-8").splitlines()
    digits = [sum(map(str.isdigit, "".join(re.findall("<<(.*?)>>", json.loads(line)["answer"])))) for line in lines]
    hardest = sorted(range(len(lines)), key=lambda index: (-digits[index], index))[:count]
    problems = read_problems(file)
    return [problems[index] for index in sorted(hardest)]


def report(records: Sequence[dict[str, Any]]) -> None:
    """Print a row for each way and data set so far."""
    table = Table(
        "data", "way", "problems", "correct", "ran code", "runs of code", "draft wrote", "target wrote", "seconds"
    )
    for record in records:
        solved = record["solved"]
        runs = [each["authors"].count("tool") for each in solved]
        used = sum((usage_of(each["usage"], record["way"]) for each in solved), Usage())
        table.add_row(
            record["data"],
            record["way"],
            str(len(runs)),
            f"{sum(each['correct'] for each in solved) / len(runs):.1%}",
            str(sum(map(bool, runs))),
            str(sum(runs)),
            str(used.draft.completion),
            str(used.target.completion),
            f"{record['seconds']:.0f}",
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    asyncio.run(main())
