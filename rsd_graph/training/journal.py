"""A file of JSON lines that long work is written to as it is done, so that a kill loses nothing that was finished."""

import json
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
