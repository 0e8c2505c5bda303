"""A file of JSON lines that long work is written to as it is done, so that a kill loses nothing that was finished."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any


class Journal:
    """Opened with what an earlier run has left; a last line that a kill has cut is taken off.

    Args:
        file: Made if it is not there.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        content = file.read_bytes() if file.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            file.write_bytes(whole)
        self.records: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]

    def append(self, record: dict[str, Any]) -> None:
        """Write one record, at once."""
        with self._file.open("a") as out:
            out.write(json.dumps(record) + "\n")
        self.records.append(record)

    async def fill(
        self, work: Sequence[Coroutine[Any, Any, dict[str, Any]]], progress: Callable[[int, int], None]
    ) -> None:
        """Do all of it at once, and write each record when it is there; an error stops the rest.

        Args:
            work: Returns the records that the file does not hold yet.
            progress: Told how many it holds, and how many it will.
        """
        total = len(self.records) + len(work)
        progress(len(self.records), total)
        tasks = [asyncio.ensure_future(each) for each in work]
        try:
            for finished in asyncio.as_completed(tasks):
                self.append(await finished)
                progress(len(self.records), total)
        finally:
            for task in tasks:
                task.cancel()
