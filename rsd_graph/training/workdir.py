"""The folder in which runs keep finished work, so that a run that was stopped resumes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rsd_graph._internal.files import parse_json, private_folder, read_regular, write_atomically
from rsd_graph.errors import ConfigurationError
from rsd_graph.training.options import Options

FREE = {"limit", "layers", "family", "changed", "rank", "epochs"}
"""Options that may differ between runs in one folder: they can all use what earlier runs wrote."""
LARGEST_NOTE = 1 << 20
"""Bytes of a folder's `run.json`."""


class WorkDir:
    """The folder of runs on one draft and the same problems.

    Args:
        path: Created if it does not exist.
        options: Of this run.
        made_of: Identifies the draft, the data and, where it labels, the target.

    Raises:
        ConfigurationError: the folder holds the work of runs with other options, or cannot be written.
    """

    def __init__(self, path: Path, options: Options, made_of: dict[str, str]) -> None:
        self.path = path
        wanted = {**options.model_dump(exclude=FREE), **made_of}
        note = path / "run.json"
        try:
            private_folder(path)
            if not note.exists():
                write_atomically(note, json.dumps(wanted, indent=1).encode())
            found = parse_json(read_regular(note, LARGEST_NOTE))
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"cannot use the folder {path}: {error}") from error
        if not isinstance(found, dict):
            raise ConfigurationError(f"cannot use the folder {path}: its {note.name} holds no object")
        if other := [key for key in wanted if found.get(key) != wanted[key]]:
            key = other[0]
            reuse = f" (--solutions {self.solutions} reuses what was solved)" if self.solutions.exists() else ""
            raise ConfigurationError(
                f"{path} holds a run with {key} = {found.get(key)}, and this one has {wanted[key]}: use the same "
                f"value to resume it, or choose another folder with --work{reuse}"
            )

    @property
    def solutions(self) -> Path:
        """The journal of what the draft wrote."""
        return self.path / "solutions.jsonl"

    @property
    def labels(self) -> Path:
        """The journal of the steps' labels."""
        return self.path / "labels.jsonl"

    @property
    def checkpoint(self) -> Path:
        """The last epoch of the LoRA training."""
        return self.path / "adapter.pt"

    def hidden_states(self, layers: int) -> Path:
        """The folder of the hidden states after so many layers."""
        return self.path / f"states-{layers}"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other runs out.

        Raises:
            ConfigurationError: another run is using the folder.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.path / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise ConfigurationError(
                f"another run is using {self.path}: wait for it, or choose another folder with --work"
            ) from None
        try:
            yield
        finally:
            lock.release()
