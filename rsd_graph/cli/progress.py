"""Progress of long work that has several stages: bars on a terminal, lines in a log."""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

QUIET_SECONDS = 30
"""Between two lines of progress where there is no terminal."""


class Stages:
    """Progress of long work on standard error: bars with the time left, or a line now and then where nobody watches."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=console,
            disable=not console.is_terminal,
        )
        self._watched = console.is_terminal
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, float] = {}
        """When a stage was last spoken of."""
        self._begun: dict[str, tuple[float, float]] = {}
        """When a stage began, and how much was done then."""

    def __enter__(self) -> "Stages":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def stage(self, name: str, done: float, total: float) -> None:
        """So much of this stage is done."""
        if self._watched:
            if name not in self._tasks:
                self._tasks[name] = self._bars.add_task(name, total=total)
            self._bars.update(self._tasks[name], completed=done, total=total)
            return
        now = time.monotonic()
        began, first = self._begun.setdefault(name, (now, done))
        if done < total and now - self._said.get(name, -QUIET_SECONDS) < QUIET_SECONDS:
            return
        self._said[name] = now
        left = (now - began) * (total - done) / (done - first) if done > first else None
        rest = "" if left is None or done >= total else f", {left / 60:.0f} min left"
        print(f"{name}: {100 * done / total if total else 100:.0f} %{rest}", file=sys.stderr, flush=True)  # noqa: T201
