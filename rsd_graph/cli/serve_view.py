"""What `rsd serve` shows: a table of servers on a terminal, elsewhere a line per change."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rsd_graph.cli.terminal_text import harmless, plain
from rsd_graph.serving.plan import ServerPlan
from rsd_graph.serving.process import ServerState

STYLES: dict[ServerState, str] = {
    "waiting": "dim",
    "starting": "yellow",
    "ready": "green",
    "restarting": "red",
    "stopped": "dim",
}


@dataclass(slots=True)
class _Row:
    state: ServerState = "waiting"
    since: float = field(default_factory=time.monotonic)
    detail: str = ""


class ServeView:
    """Shows the servers of a supervisor: a `rsd_graph.serving.process.Watcher`.

    Args:
        servers: The servers that run.
        hint: What to do once all are ready.
    """

    def __init__(self, servers: Sequence[ServerPlan], hint: str) -> None:
        self._rows = {server.role: _Row() for server in servers}
        self._servers = servers
        self._hint = hint
        self._console = Console(highlight=False)
        self._live: Live | None = None
        if self._console.is_terminal:
            self._live = Live(get_renderable=self._table, console=self._console, refresh_per_second=4)
            self._live.start()

    def state(self, server: ServerPlan, state: ServerState, detail: str = "") -> None:
        """A server has changed its state."""
        row = self._rows[server.role]
        took = time.monotonic() - row.since
        self._rows[server.role] = _Row(state, detail=detail)
        if self._live is None and state != "waiting":
            what = f"after {took:.0f} s" if state == "ready" else detail
            self._console.print(plain(f"{server.role:<7}{state:<11}{server.url}  {what}".rstrip()), soft_wrap=True)

    def log(self, server: ServerPlan, line: str) -> None:
        """Show the last line of its log while the server starts."""
        row = self._rows[server.role]
        if row.state == "starting":
            row.detail = line

    def ready(self) -> None:
        """All servers are ready."""
        self._console.print(plain(self._hint, "bold green"), soft_wrap=True)

    def close(self) -> None:
        """Nothing more will come."""
        if self._live:
            self._live.stop()
            self._live = None

    def _table(self) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for _ in ("role", "state", "address", "where"):
            table.add_column(no_wrap=True)
        table.add_column()  # the one that gets shorter in a narrow terminal
        for server in self._servers:
            row = self._rows[server.role]
            where = f"GPU {','.join(map(str, server.gpus))}" if server.gpus else "CPU"
            seconds = f"{time.monotonic() - row.since:.0f} s" if row.state in ("starting", "restarting") else ""
            table.add_row(
                server.role,
                plain(f"{row.state} {seconds}".strip(), STYLES[row.state]),
                plain(server.url),
                where,
                Text(harmless(row.detail or server.model), style="dim", no_wrap=True, overflow="ellipsis"),
            )
        return table
