"""What RSD takes on a GPU beside the target alone: real vLLM servers, models of the paper's sizes, random weights.

    python benchmarks/gpu.py --sizes 1.5b 7b 1.5b --in-flight 1 16 64 256 --hardware h100

No weights are downloaded, only a tokenizer: vLLM fills models of Qwen2.5's shapes with random numbers, which takes as
long to compute as real ones. Their text means nothing, and neither do the rewards. So each step has `--step-tokens`
tokens, a solution has `--steps` steps, and a draft step is scored and then kept by chance (`--accepted`): what is
measured is time.

Starts `rsd serve` for the three models, and stops it at the end. Each row solves problems of its own, so that no prompt
is in a cache. Beside the measured seconds stand those that the roofline model predicts from the data sheet of
`--hardware`, as `rsd estimate` does. The table goes to `--out` too, after each row.
"""

import argparse
import asyncio
import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from rsd_graph import RSDSettings
from rsd_graph.assembly import assemble
from rsd_graph.config import PORTS, ROLES, load_config
from rsd_graph.evaluation.comparison import RecordedStep, Run, Solved
from rsd_graph.evaluation.prediction import Speeds, predict, rooflines
from rsd_graph.evaluation.roofline import HARDWARE, hardware
from rsd_graph.evaluation.tables import Cell, Table
from rsd_graph.latency import faster
from rsd_graph.strategies.outcome import Models, Strategy
from rsd_graph.strategies.rsd import rsd
from rsd_graph.strategies.table import STRATEGIES

SHAPES: Mapping[str, Mapping[str, Any]] = {
    "tiny": {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
             "intermediate_size": 256, "vocab_size": 151936, "tie_word_embeddings": True},
    "1.5b": {"hidden_size": 1536, "num_hidden_layers": 28, "num_attention_heads": 12, "num_key_value_heads": 2,
             "intermediate_size": 8960, "vocab_size": 151936, "tie_word_embeddings": True},
    "7b": {"hidden_size": 3584, "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
           "intermediate_size": 18944, "vocab_size": 152064, "tie_word_embeddings": False},
    "32b": {"hidden_size": 5120, "num_hidden_layers": 64, "num_attention_heads": 40, "num_key_value_heads": 8,
            "intermediate_size": 27648, "vocab_size": 152064, "tie_word_embeddings": False},
    "72b": {"hidden_size": 8192, "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8,
            "intermediate_size": 29568, "vocab_size": 152064, "tie_word_embeddings": False},
}  # fmt: skip
"""Of Qwen2.5, from the configurations on the hub; and one to try this script with, on a processor."""
PARAMETERS = {"tiny": 2e7, "1.5b": 1.54e9, "7b": 7.6e9, "32b": 32.8e9, "72b": 72.7e9}
ARCHITECTURES = {"draft": "Qwen2ForCausalLM", "target": "Qwen2ForCausalLM", "reward": "Qwen2ForPrmModel"}
CONTEXT = 4096
COLUMNS = ["in flight", "strategy", "problems", "seconds", "solved a minute", "seconds a problem", "target alone = 1",
           "predicted seconds a problem", "error", "predicted, target alone = 1", "steps by the target",
           "steps a second", "CPU ms a step"]  # fmt: skip


def checkpoint(folder: Path, role: str, size: str, tokenizer: str) -> Path:
    """A checkpoint without weights: the shape of a model, and a tokenizer."""
    from transformers import AutoTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)
    shape = {
        "architectures": [ARCHITECTURES[role]],
        "model_type": "qwen2",
        "hidden_act": "silu",
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "dtype": "bfloat16",
        "bos_token_id": 151643,
        "eos_token_id": 151645,
        **SHAPES[size],
    }
    (folder / "config.json").write_text(json.dumps(shape, indent=1))
    return folder


def settings_file(args: argparse.Namespace) -> Path:
    """The rsd.toml of the three models."""
    lines = []
    for role, size in zip(ROLES, args.sizes, strict=True):
        model = checkpoint(args.folder.absolute() / role, role, size, args.tokenizer)
        flags = ["--load-format", "dummy", *shlex.split(args.reward_flags if role == "reward" else args.vllm_flags)]
        lines += [f"[{role}]", f"model = {json.dumps(str(model))}", f"parameters = {PARAMETERS[size]:.0f}"]
        lines += [f"context = {CONTEXT}", f"flags = {json.dumps(flags)}"]
    lines.append('kind = "skywork"')
    file: Path = args.folder / "rsd.toml"
    file.write_text("\n".join(lines) + "\n")
    return file


@contextmanager
def served(file: Path, seconds: float) -> Iterator[None]:
    """The models, on servers that answer."""
    server = subprocess.Popen([sys.executable, "-m", "rsd_graph.cli", "serve", "--config", file.name], cwd=file.parent)
    try:
        started = time.monotonic()
        waiting = [f"http://127.0.0.1:{PORTS[role]}/health" for role in ROLES]
        while waiting:
            if server.poll() is not None:
                sys.exit("rsd serve has ended: see what it wrote above")
            if time.monotonic() - started > seconds:
                sys.exit(f"no answer within {seconds:.0f} s from {', '.join(waiting)}")
            waiting = [url for url in waiting if not _answers(url)]
            time.sleep(0.5)
        print(f"served after {time.monotonic() - started:.0f} s", flush=True)
        yield
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as answer:  # noqa: S310  # loopback
            return bool(answer.status == HTTPStatus.OK)
    except (URLError, OSError):
        return False


def problem(*key: object) -> str:
    """A question of about a hundred tokens that no other row asks."""
    name = " ".join(map(str, key))
    items = ", ".join(f"{3 * index + len(name)} boxes of {index + 2} pens" for index in range(12))
    return f"In shop {name} somebody buys {items}. How many pens are that, and how many are left if a third is given?"


class Case:
    """A strategy, so many problems at once."""

    def __init__(self, name: str, strategy: Strategy, models: Models, in_flight: int, problems: int) -> None:
        self.name, self.in_flight = name, in_flight
        self._strategy, self._models, self._problems = strategy, models, problems
        self._free = asyncio.Semaphore(in_flight)

    async def run(self, settings: RSDSettings) -> tuple[Run, float, float]:
        """What was solved, the seconds that it took, and the CPU seconds of this process."""
        started, computing = time.perf_counter(), time.process_time()
        solved = await asyncio.gather(*(self._solve(number, settings) for number in range(self._problems)))
        seconds, computed = time.perf_counter() - started, time.process_time() - computing
        return (
            Run("random weights", self.name, {str(number): each for number, each in enumerate(solved)}),
            seconds,
            computed,
        )

    async def _solve(self, number: int, settings: RSDSettings) -> Solved:
        proposed: dict[int, int] = {}
        rejected: dict[int, int] = {}

        async def watch(event: Any) -> None:
            if event["event"] == "proposed":
                proposed[event["step"]] = event["tokens"]
            elif event["event"] == "replaced":
                rejected[event["step"]] = proposed.get(event["step"], 0)

        async with self._free:
            started = time.perf_counter()
            question = problem(self.name, self.in_flight, number)
            outcome = await self._strategy(self._models, question, settings.model_copy(update={"seed": number}), watch)
            seconds = time.perf_counter() - started
        steps = [
            RecordedStep("target" if step.author == "target" else "draft", step.tokens or 0, step.reward,
                         rejected=rejected.get(index))
            for index, step in enumerate(outcome.steps)
        ]  # fmt: skip
        return Solved(right=False, seconds=seconds, usage=outcome.usage, parameters=None, steps=steps)


async def measure(args: argparse.Namespace, file: Path) -> Table:
    """All rows."""
    rows: list[Sequence[Cell]] = []
    table = Table("RSD on a GPU", describe(args), COLUMNS, rows)
    settings = RSDSettings(
        max_steps=args.steps, max_step_tokens=args.step_tokens, max_tokens=args.steps * args.step_tokens
    )
    async with assemble(load_config(file)) as assembly:
        if assembly.parameters is None:
            sys.exit(f"{file} does not say how large the models are")
        three = (assembly.draft, assembly.target, assembly.reward)
        plain = Models(*three)
        by_chance = rsd(weighting="constant", constant=args.accepted)
        cases: list[tuple[str, Strategy, Models]] = [
            ("target", STRATEGIES["target"].make(), plain),
            ("draft", STRATEGIES["draft"].make(), plain),
            ("rsd", by_chance, plain),
            ("rsd ahead", by_chance, Models(*three, faster(*three))),
            ("rsd ahead warm", by_chance, Models(*three, faster(*three, warm=True))),
        ]
        for name, strategy, chosen in cases[:3]:  # graphs are captured and kernels compiled before anything is timed
            await Case(f"{name} to get warm", strategy, chosen, max(args.in_flight), max(args.in_flight)).run(settings)
        for in_flight in args.in_flight:
            speeds = rooflines(assembly.parameters, hardware(args.hardware), batch=in_flight, shared=True)
            alone: Run | None = None
            for name, strategy, chosen in cases:
                count = max(args.least, in_flight * args.rounds)
                run, seconds, computed = await Case(name, strategy, chosen, in_flight, count).run(settings)
                alone = alone or run
                rows.append(row(in_flight, run, alone, speeds, seconds, computed))
                args.out.write_text(table.markdown())
                print(*table.shown()[-1], sep=" | ", flush=True)
    return table


def row(in_flight: int, run: Run, alone: Run, speeds: Speeds, seconds: float, computed: float) -> Sequence[Cell]:
    """One row of the table."""
    steps = [step for each in run.solved.values() for step in each.steps]
    plain = run.name == run.strategy  # the model knows nothing of wrappers
    predicted, predicted_alone = (predict(each, speeds) if plain else None for each in (run, alone))
    by_steps = run.strategy == "rsd"
    return [
        in_flight, run.name, len(run.solved), seconds, 60 * len(run.solved) / seconds, run.seconds,
        run.seconds / alone.seconds, predicted, f"{predicted / run.seconds - 1:+.0%}" if predicted else None,
        predicted / predicted_alone if predicted and predicted_alone else None,
        sum(step.author == "target" for step in steps) / len(steps) if by_steps else None,
        len(steps) / seconds if by_steps else None, 1000 * computed / len(steps) if by_steps else None,
    ]  # fmt: skip


def describe(args: argparse.Namespace) -> str:
    """What the table's figures belong to."""
    draft, target, reward = args.sizes
    return (
        f"Draft {draft}, target {target}, reward {reward}, random weights; {args.steps} steps of {args.step_tokens} "
        f"tokens; predicted for {HARDWARE[args.hardware].title}"
    )


def main() -> None:
    """Read the command line, serve, measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--sizes", nargs=3, choices=SHAPES, default=["1.5b", "7b", "1.5b"], metavar="SIZE",
                        help=f"of draft, target and reward: {', '.join(SHAPES)} (default: 1.5b 7b 1.5b)")  # fmt: skip
    parser.add_argument("--in-flight", nargs="+", type=int, default=[1, 16, 64, 256], help="problems at once")
    parser.add_argument("--rounds", type=int, default=2, help="problems of a row, for each in flight (default: 2)")
    parser.add_argument("--least", type=int, default=4, help="problems of a row, at least (default: 4)")
    parser.add_argument("--steps", type=int, default=8, help="of a solution (default: 8)")
    parser.add_argument("--step-tokens", type=int, default=40, help="default: 40")
    parser.add_argument("--accepted", type=float, default=0.7, help="share of draft steps that are kept (default: 0.7)")
    parser.add_argument("--hardware", choices=HARDWARE, default="h100", help="whose data sheet predicts")
    parser.add_argument("--tokenizer", default="Qwen/Qwen2.5-Math-1.5B-Instruct", help="a name on the hub, or a folder")
    parser.add_argument(
        "--vllm-flags",
        default="",
        help="more flags of `vllm serve` for draft and target, in one text: --vllm-flags=--enforce-eager",
    )
    parser.add_argument("--reward-flags", default="", help="the same of the reward")
    parser.add_argument("--start-seconds", type=float, default=900, help="to wait for the servers")
    parser.add_argument("--folder", type=Path, default=Path("results/gpu"), help="for checkpoints, rsd.toml and logs")
    parser.add_argument("--out", type=Path, default=Path("results/gpu.md"))
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    file = settings_file(args)
    with served(file, args.start_seconds):
        table = asyncio.run(measure(args, file))
    print(table.markdown())


if __name__ == "__main__":
    main()
