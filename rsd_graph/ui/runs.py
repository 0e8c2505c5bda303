"""Runs that were made on the page, or read from a file: in SQLite, beside the graph's own checkpoints."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import aiosqlite

from rsd_graph.ui.story import Event

TABLES = """
CREATE TABLE IF NOT EXISTS page_runs (
    id TEXT PRIMARY KEY, problem TEXT NOT NULL, status TEXT NOT NULL, made TEXT NOT NULL, origin TEXT
);
CREATE TABLE IF NOT EXISTS page_events (
    run TEXT NOT NULL, number INTEGER NOT NULL, event TEXT NOT NULL, PRIMARY KEY (run, number)
);
"""


@dataclass(frozen=True, slots=True)
class Summary:
    """A run in the list."""

    id: str
    problem: str
    status: str
    made: str
    """When it began, in UTC: `2026-01-31 12:00`."""
    origin: str | None
    """The run that it was forked from, `file`, or None."""


class Runs:
    """The list of runs, and the events of each.

    Args:
        database: An open connection; the graph's checkpointer may share it.
    """

    def __init__(self, database: aiosqlite.Connection) -> None:
        self._database = database

    async def open(self) -> None:
        """Make the tables, unless they are there."""
        await self._database.executescript(TABLES)
        await self._database.execute("UPDATE page_runs SET status = 'interrupted' WHERE status = 'running'")
        await self._database.commit()

    async def add(self, problem: str, events: Sequence[Event], origin: str | None = None) -> str:
        """A new run with these events. Returns its id, which is the thread of its checkpoints too."""
        run, now = uuid4().hex[:12], datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        await self._database.execute(
            "INSERT INTO page_runs VALUES (?, ?, 'running', ?, ?)", (run, problem, now, origin)
        )
        await self._database.executemany(
            "INSERT INTO page_events VALUES (?, ?, ?)",
            [(run, number, json.dumps(dict(event))) for number, event in enumerate(events)],
        )
        await self._database.commit()
        return run

    async def append(self, run: str, number: int, event: Event, status: str) -> None:
        """Keep an event of the run, and what has become of the run."""
        await self._database.execute(
            "INSERT OR REPLACE INTO page_events VALUES (?, ?, ?)", (run, number, json.dumps(dict(event)))
        )
        await self.mark(run, status)

    async def mark(self, run: str, status: str) -> None:
        """Keep what has become of the run."""
        await self._database.execute("UPDATE page_runs SET status = ? WHERE id = ?", (status, run))
        await self._database.commit()

    async def events(self, run: str) -> list[Event]:
        """Everything that happened in the run; empty if there is none of this id."""
        query = "SELECT event FROM page_events WHERE run = ? ORDER BY number"
        async with self._database.execute(query, (run,)) as rows:
            return [json.loads(event) async for (event,) in rows]

    async def newest(self, count: int = 50) -> list[Summary]:
        """The list, newest first."""
        query = "SELECT id, problem, status, made, origin FROM page_runs ORDER BY made DESC, rowid DESC LIMIT ?"
        async with self._database.execute(query, (count,)) as rows:
            return [
                Summary(run, problem, status, made[:16], origin) async for run, problem, status, made, origin in rows
            ]

    async def origin(self, run: str) -> str | None:
        """See `Summary.origin`."""
        async with self._database.execute("SELECT origin FROM page_runs WHERE id = ?", (run,)) as rows:
            found = await rows.fetchone()
        return found[0] if found else None

    async def remove(self, run: str) -> None:
        """Forget the run and its events."""
        await self._database.execute("DELETE FROM page_runs WHERE id = ?", (run,))
        await self._database.execute("DELETE FROM page_events WHERE run = ?", (run,))
        await self._database.commit()
