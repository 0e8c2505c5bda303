"""Files that survive an interruption: atomic writes, journals, and JSON lines that people hand in."""

import asyncio
import json
import os
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from rsd_graph.errors import ConfigurationError

T = TypeVar("T")


@contextmanager
def atomic_path(file: Path) -> Iterator[Path]:
    """A path beside `file` to write to; what was written replaces `file` at the end.

    After an error `file` is as it was, and the unfinished path is deleted. Two processes may write the same file.
    """
    unfinished = file.with_name(f"{file.name}.{os.getpid()}.unfinished")
    try:
        yield unfinished
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def write_atomically(file: Path, content: bytes) -> None:
    """Write the whole file, or leave it as it was. Raises OSError as `Path.write_bytes` does."""
    with atomic_path(file) as unfinished:
        unfinished.write_bytes(content)


class Journal:
    """Records in a file of JSON lines, which a later run resumes.

    It opens with the records of earlier runs. A last line without its line end, which a kill has cut, is removed.

    Args:
        file: Created with the first record.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        content = file.read_bytes() if file.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            file.write_bytes(whole)
        self.records: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]

    def append(self, record: dict[str, Any]) -> None:
        """Write one record immediately."""
        with self._file.open("a") as out:
            out.write(json.dumps(record) + "\n")
        self.records.append(record)

    async def fill(
        self, work: Sequence[Coroutine[Any, Any, dict[str, Any]]], progress: Callable[[float, float], None]
    ) -> None:
        """Run all the work concurrently and write each record as soon as it is there. An error cancels the rest.

        Args:
            work: Returns the records that the file does not hold yet.
            progress: Told how many records the file holds, and how many it will hold. A `Progress` fits once the work's
                name is bound to it: `partial(progress, "solving problems")`.
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
    """Parse each line that is not blank.

    Args:
        file: Of JSON lines.
        what: A line should be, for error messages: with its article and what it needs.
        parse: Makes a value of a line's JSON. It may raise ValueError, KeyError, TypeError or AttributeError.

    Raises:
        ConfigurationError: the file cannot be read, or a line cannot be parsed; the message names it.
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
