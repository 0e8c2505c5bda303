"""How many bytes SQLite stores per byte of solution, and how long it takes to read the checkpoints back.

    python benchmarks/checkpoints.py

Scripted models answer immediately. "history" reads every checkpoint of the thread, "read" only the latest one.
"""

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from langgraph.checkpoint.sqlite import SqliteSaver
from rich.console import Console
from rich.table import Table

from rsd_graph import Generation, create_rsd_graph
from rsd_graph.testing import ScriptedModel, ScriptedReward

THREAD: Any = {"configurable": {"thread_id": "1"}}


def measure(file: Path, steps: int, size: int) -> list[str]:
    """One row of the table: a run of that many steps of that many bytes."""
    model = ScriptedModel([Generation("x" * size, "delimiter")])
    context: Any = {"max_steps": steps, "max_tokens": 1_000_000}
    connection = sqlite3.connect(file, check_same_thread=False)
    graph = create_rsd_graph(model, model, ScriptedReward([1.0]), checkpointer=SqliteSaver(connection))
    run = seconds(lambda: graph.invoke({"problem": "What is 2 + 2?"}, THREAD, context=context))
    read = seconds(lambda: graph.get_state(THREAD))
    history = seconds(lambda: list(graph.get_state_history(THREAD)))
    solution = len(graph.get_state(THREAD).values["response"])
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    stored = file.stat().st_size
    return [str(steps), str(size), f"{stored / solution:.1f}", f"{run:.2f}", f"{read:.3f}", f"{history:.2f}"]


def seconds(work: Callable[[], object]) -> float:
    """How long the work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, nargs="+", default=[10, 40, 160, 640], help="steps per run")
    parser.add_argument("--bytes", type=int, nargs="+", default=[150, 450], help="bytes per step")
    options = parser.parse_args()
    table = Table("steps", "bytes per step", "stored bytes per byte", "run, s", "read, s", "history, s")
    for size in options.bytes:
        for steps in options.steps:
            with tempfile.TemporaryDirectory() as folder:
                table.add_row(*measure(Path(folder) / "checkpoints.sqlite", steps, size))
    Console().print(table)


if __name__ == "__main__":
    main()
