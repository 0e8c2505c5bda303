"""Progress of long work that has several stages: bars on a terminal, lines in a log."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from rsd_graph.cli.terminal_text import harmless, plain

QUIET_SECONDS = 30
"""Between two lines of one stage, where there is no terminal."""
LEAST_BYTES = 1_000_000
"""A total from here on is a number of bytes: files are larger, and fewer problems, steps and tensors are counted."""
WIDE = 70
"""Columns of a terminal that has room for bars."""


class Stages:
    """Shows the progress of each stage on standard error: a bar on a terminal, elsewhere a line now and then.

    Args:
        console: Where to show it; by default standard error.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bars: Progress | None = _bars(self._console) if self._console.is_terminal else None
        self._tasks: dict[str, TaskID] = {}
        self._lines: dict[str, StageLog] = {}

    def __enter__(self) -> "Stages":
        self.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Take the terminal's lower lines for the bars."""
        if self._bars:
            self._bars.start()

    def close(self) -> None:
        """Leave the bars as they are; nothing more will come."""
        if self._bars:
            self._bars.stop()

    def stage(self, what: str, done: float, total: float) -> None:
        """`done` of `total` is done. A `rsd_graph._internal.progress.Progress`."""
        if self._bars:
            if what not in self._tasks:
                self._tasks[what] = self._bars.add_task(what, total=total)
            self._bars.update(self._tasks[what], completed=done, total=total)
            return
        now = time.monotonic()
        if line := self._lines.setdefault(what, StageLog(what, done, now)).report(done, total, now):
            self._console.print(plain(line), soft_wrap=True)


def _bars(console: Console) -> Progress:
    whole = Column(no_wrap=True)  # names and bars get shorter where they must, and figures do not
    left = TimeRemainingColumn(elapsed_when_finished=False, table_column=whole)
    percent = TextColumn("{task.percentage:>3.0f} %")
    if console.width < WIDE:
        return Progress(_Name(), percent, TextColumn("left"), left, console=console)
    bar, elapsed = BarColumn(bar_width=10), TimeElapsedColumn(table_column=whole)
    return Progress(
        _Name(), bar, percent, _Amount(table_column=whole), elapsed, TextColumn("left"), left, console=console
    )


class _Name(ProgressColumn):
    """What is being done, on one line."""

    def render(self, task: Task) -> Text:
        return Text(harmless(task.description), no_wrap=True, overflow="ellipsis")


class _Amount(DownloadColumn):
    """How much is done: "0.2/1.6 GB" or "12/1000"; empty for a stage that is measured in parts of one."""

    def render(self, task: Task) -> Text:
        total = task.total or 0
        if total >= LEAST_BYTES:
            return super().render(task)
        return Text(f"{task.completed:.0f}/{total:.0f}" if total > 1 else "", style="progress.download")


class StageLog:
    """One stage in a log: its first and its last report, and one every half minute in between.

    Args:
        what: The stage.
        done: How much of it is done when it begins; an earlier run may have done some.
        now: The time, in seconds.
    """

    def __init__(self, what: str, done: float, now: float) -> None:
        self._what = what
        self._first, self._began = done, now
        self._printed: float | None = None

    def report(self, done: float, total: float, now: float) -> str | None:
        """The line to print, if it is time for one."""
        if done < total and self._printed is not None and now - self._printed < QUIET_SECONDS:
            return None
        self._printed = now
        line = f"{self._what}: {100 * done / total if total else 100:.0f} %"
        if done >= total or done <= self._first:
            return line
        left = (now - self._began) * (total - done) / (done - self._first)
        return f"{line}, {left / 60:.0f} min left"
