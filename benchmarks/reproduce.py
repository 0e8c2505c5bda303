"""The paper's main table (arXiv 2501.19324, Table 2), rerun: our accuracy beside the paper's, row by row.

    rsd serve --preset qwen2.5-math-7b                  # in one terminal: the models of the first two rows
    python benchmarks/reproduce.py                      # in another: runs the rows whose servers are up

The rows need three sets of models, one preset each. Serve the next preset and run the same command again: what is done
is not done again, and the table grows. Every row runs on every data set (`--data`); `--rows` names a few of them.

    python benchmarks/reproduce.py --pair embedded --limit 2 --max-tokens 200 --data-dir FOLDER --data gsm8k math500

tries the same way with the two small models that run in this process. Its figures have nothing to do with the paper's.

Logs are in `--out`, in a folder for each row and data set, for `rsd report` and `inspect view`. The table is printed,
and written there as `table2.md` and `table2.csv`.

Exit code: 0 if all rows that were asked for are in the table, 1 otherwise.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rsd_graph.config import ROLES, load_config
from rsd_graph.errors import ConfigurationError, RSDError
from rsd_graph.evaluation.comparison import Run
from rsd_graph.evaluation.tables import Cell, Table
from rsd_graph.inspect.bench import Bench, run_bench
from rsd_graph.inspect.logs import read_runs
from rsd_graph.models.discovery import model_card

SETS = ("math500", "gsm8k", "gaokao2023en", "olympiadbench", "gpqa_diamond", "mmlu_stem")
SETTINGS = "temperature=0 max_steps=100"
"""The paper's. The blank line as the step's delimiter is the default."""
RSD = "rsd threshold=0.7"
EMBEDDED = "embedded"


@dataclass(frozen=True)
class Row:
    """A row of the paper's table."""

    title: str
    preset: str
    strategy: str
    paper: Sequence[float]
    """Percent correct on each of `SETS`."""


ROWS = {
    "7b": Row("Qwen2.5-Math-7B-Instruct alone", "qwen2.5-math-7b", "target", (83.2, 95.7, 66.8, 41.2, 32.8, 71.8)),
    "rsd-7b": Row("RSD 1.5B / 7B / Skywork-1.5B", "qwen2.5-math-7b", RSD, (82.6, 94.5, 68.8, 39.6, 38.4, 71.4)),
    "rsd-7b-skywork-7b": Row(
        "RSD 1.5B / 7B / Skywork-7B", "qwen2.5-math-7b-skywork-7b", RSD, (84.6, 95.5, 68.3, 42.1, 33.8, 72.3)
    ),
    "72b": Row("Qwen2.5-Math-72B-Instruct alone", "qwen2.5-math-72b", "target", (85.6, 95.8, 73.0, 48.4, 42.4, 85.8)),
    "rsd-72b": Row("RSD 7B / 72B / Skywork-7B", "qwen2.5-math-72b", RSD, (88.0, 96.7, 74.0, 49.9, 42.9, 84.4)),
}


@dataclass(frozen=True)
class Place:
    """Where the runs of a row on a data set are. Rows with the same models and strategy share it."""

    models: str
    """A preset, or `EMBEDDED`."""
    strategy: str
    data: str

    def folder(self, out: Path) -> Path:
        """Of the logs of this run alone."""
        return out / self.models / self.strategy.replace(" ", "-") / self.data


def models_of(row: Row, pair: str) -> str:
    return EMBEDDED if pair == EMBEDDED else row.preset


def place(row: Row, data: str, pair: str) -> Place:
    return Place(models_of(row, pair), row.strategy, data)


def main() -> int:
    options = parse()
    try:
        files = {data: file_of(options.data_dir, data) for data in options.data} if options.data_dir else {}
        failed = list(run_all(options, files))
        runs = finished(options)
    except RSDError as error:
        print(f"reproduce: {error}", file=sys.stderr)
        return 1
    if runs:
        table = compared({name: ROWS[name] for name in options.rows}, options.data, runs, options.pair)
        write(table, options.out)
    for line in failed:
        print(f"reproduce: {line}", file=sys.stderr)
    return 1 if failed else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="rows, and what must be served for them:\n"
        + "\n".join(f"  {name:<18} {row.title:<31} rsd serve --preset {row.preset}" for name, row in ROWS.items()),
    )
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="rows to run (default: all)")
    parser.add_argument("--data", nargs="+", choices=SETS, default=list(SETS), help="data sets (default: all)")
    parser.add_argument(
        "--data-dir",
        type=Path,
        help="folder of the data sets as files of JSON lines in their publishers' formats, such as gsm8k.jsonl or "
        "gsm8k-test.jsonl (default: from the hub)",
    )
    parser.add_argument("--pair", choices=("paper", EMBEDDED), default="paper", help="models to run (default: paper)")
    parser.add_argument("--limit", type=int, help="the first so many problems of each data set (default: all)")
    parser.add_argument("--max-tokens", type=int, default=4096, help="tokens of a solution (default: 4096)")
    parser.add_argument("--in-flight", type=int, default=32, help="problems solved at once (default: 32)")
    parser.add_argument(
        "--out", type=Path, default=Path("results/table2"), help="folder of the logs (default: results/table2)"
    )
    return parser.parse_args()


def file_of(folder: Path, data: str) -> Path:
    """The file of the data set in the folder: its name begins with the data set's, and is not of training problems.

    Raises:
        ConfigurationError: there is none, or there are several.
    """
    whole = folder / f"{data}.jsonl"
    named = [whole] if whole.exists() else [f for f in sorted(folder.glob(f"{data}*.jsonl")) if "train" not in f.stem]
    if len(named) != 1:
        found = ", ".join(file.name for file in named) or "none"
        raise ConfigurationError(f"{folder} must have one file for {data}, such as {data}.jsonl; there is {found}")
    return named[0]


def run_all(options: argparse.Namespace, files: Mapping[str, Path]) -> Iterator[str]:
    """Run every row on every data set whose models are there. Yields what is wrong with the others."""
    by_models: dict[str, list[str]] = {}
    for name in options.rows:
        by_models.setdefault(models_of(ROWS[name], options.pair), []).append(name)
    for models, names in by_models.items():
        try:
            if models != EMBEDDED:
                asyncio.run(reach(models))
            places = [place(ROWS[name], data, options.pair) for data in options.data for name in names]
            for each in dict.fromkeys(places):
                print(f"{models}: {each.strategy} on {each.data}", file=sys.stderr)
                run(each, options, files.get(each.data))
        except RSDError as error:  # what ends one run ends those after it that have the same models
            yield f"{models}: {error} Rows that are not complete: {', '.join(names)}."


async def reach(preset: str) -> None:
    """Ask the servers of a preset whether they are there.

    Raises:
        RSDError: one is not, or holds another model; the message says which command starts them.
    """
    start = f"Start the servers with `rsd serve --preset {preset}`, then run this again."
    config = load_config(None, {"preset": preset})
    for role in ROLES:
        found = config.resolve(role)
        try:
            card = await model_card(found.addresses, api_key=found.api_key)
        except RSDError as error:
            raise ConfigurationError(f"the {role} is not there: {error} {start}") from error
        if found.config.model not in (None, card.id):
            raise ConfigurationError(
                f"the {role} must be {found.config.model}, and {found.addresses[0]} holds {card.id}. {start}"
            )


def run(place: Place, options: argparse.Namespace, file: Path | None) -> None:
    """Solve the problems that are not solved yet.

    Raises:
        RSDError: problems are left.
    """
    bench = Bench(
        data=place.data,
        strategies=[f"{place.strategy} {SETTINGS} max_tokens={options.max_tokens}"],
        models={} if place.models == EMBEDDED else {"preset": place.models},
        file=None if file is None else str(file),
        limit=options.limit,
        in_flight=options.in_flight,
    )
    run_bench(bench, place.folder(options.out), "rich" if sys.stderr.isatty() else "plain")


def finished(options: argparse.Namespace) -> dict[Place, Run]:
    """The runs that are in the folder, of this call and of earlier ones."""
    places = {place(ROWS[name], data, options.pair) for name in options.rows for data in options.data}
    found = {}
    for each in places:
        folder = each.folder(options.out)
        with suppress(ConfigurationError):  # nothing is there, or nothing is finished
            (found[each],) = read_runs([folder])
    return found


def compared(rows: Mapping[str, Row], sets: Sequence[str], runs: Mapping[Place, Run], pair: str = "paper") -> Table:
    """Ours beside the paper's: a line for each row on each data set that was run."""
    lines: list[Sequence[Cell]] = []
    for row in rows.values():
        for data in sets:
            run = runs.get(place(row, data, pair))
            if run is None:
                continue
            ours, paper = run.accuracy, row.paper[SETS.index(data)]
            value, low, high = (f"{100 * part:.1f}" for part in (ours.value, ours.low, ours.high))
            difference = f"{100 * ours.value - paper:+.1f}"
            models = run.models["target"] if row.strategy == "target" else " / ".join(run.models.values())
            lines.append([row.title, data, len(run.solved), value, low, high, f"{paper:.1f}", difference, models])
    about = "Percent correct, with the 95 % Wilson interval of ours; the difference is in points."
    if pair == EMBEDDED:
        about += " Ours are NOT of the models that the rows name: this shows that the way works, and nothing else."
    columns = ("row", "data", "problems", "ours", "low", "high", "paper", "difference", "models that ran")
    return Table("Table 2 of arXiv 2501.19324", about, columns, lines)


def write(table: Table, out: Path) -> None:
    """Print the table, and write it beside the logs."""
    print(table.markdown())
    (out / "table2.md").write_text(table.markdown() + "\n")
    (out / "table2.csv").write_text(table.csv())


if __name__ == "__main__":
    sys.exit(main())
