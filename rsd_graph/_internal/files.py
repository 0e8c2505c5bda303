"""Files that survive being interrupted: atomic writes, journals, and JSON lines that people hand in."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rsd_graph.errors import ConfigurationError

T = TypeVar("T")


def write_atomically(file: Path, content: bytes) -> None:
    """Write the file beside its place, and put it there once it is complete. Raises OSError as `Path.write_bytes`."""
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_bytes(content)
    unfinished.replace(file)


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


def read_lines(file: Path, what: str, parse: Callable[[Any], T]) -> list[T]:
    """What `parse` makes of each line that is not blank.

    Args:
        file: Of JSON lines.
        what: A line should be, for messages, with its article and what it needs.
        parse: May raise ValueError, KeyError, TypeError or AttributeError for a line that is none.

    Raises:
        ConfigurationError: the file cannot be read, or a line is none; the message names it.
    """
    try:
        lines = file.read_text().split("\n")  # and not at the other line ends of Unicode, which JSON may hold
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {file}: {error}") from error
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append(parse(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigurationError(f"{file}, line {number}, is not {what}: {error!r}") from error
    return found
