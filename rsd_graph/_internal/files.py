"""Files that people hand in, and files that are written here.

Those that people hand in are read with care: only regular files, up to a size, and JSON that is not a trap. Those that
are written here survive an interruption, and are private where they may hold prompts.
"""

import asyncio
import errno
import json
import math
import os
import stat
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from rsd_graph.errors import ConfigurationError

T = TypeVar("T")

LONGEST_LINE = 16 << 20
"""Bytes of one JSON line; a solution of 4096 tokens takes 0.1 MB."""
PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)
_DO_NOT_WAIT = getattr(os, "O_NONBLOCK", 0)
"""Opening a pipe waits for its other end."""


def expanded(path: Path) -> Path:
    """The path, with the home folder in place of a leading `~`.

    Raises:
        ValueError: it holds a control character, or the home folder is not known.
    """
    require_no_control(str(path))
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError(f"the home folder of {path.parts[0]} is not known") from error


def require_no_control(text: str) -> str:
    """The text, which holds no control character: no path, no name and no argument of a program has one.

    Raises:
        ValueError: it holds one.
    """
    for character in text:
        if character < " " or "\x7f" <= character <= "\x9f":
            raise ValueError(f"the control character {character!r} is not allowed")
    return text


def open_regular(file: Path) -> BinaryIO:
    """Open a file to read. What is no regular file is refused, because it may never end.

    Raises:
        OSError: it cannot be read; `strerror` says why.
    """
    try:
        _require_regular(file.stat())  # opening a device may already do something
        opened = os.open(file, os.O_RDONLY | _DO_NOT_WAIT)
    except ValueError as error:  # a NUL in the path
        raise OSError(errno.EINVAL, str(error)) from error
    try:
        _require_regular(os.fstat(opened))
        return os.fdopen(opened, "rb")
    except OSError:
        os.close(opened)
        raise


def read_regular(file: Path, limit: int) -> bytes:
    """The content of a regular file.

    Args:
        file: The file.
        limit: Bytes that it may have.

    Raises:
        OSError: it cannot be read, or is larger; `strerror` says why.
    """
    with open_regular(file) as opened:
        content = opened.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit / 1e6:.3g} MB")
    return content


def _require_regular(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = next((name for is_one, name in _KINDS if is_one(found.st_mode)), "something else")
        raise OSError(errno.EINVAL, f"it is {kind}, and not a regular file")


def open_private(file: Path) -> BinaryIO:
    """Open a file to append to, which its owner alone may read; made if it is not there, in folders that are private.

    Raises:
        OSError: it cannot be written, or is no regular file.
    """
    private_folder(file.parent)
    opened = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _DO_NOT_WAIT, PRIVATE_FILE)
    try:
        _require_regular(os.fstat(opened))
        with suppress(PermissionError):  # it is somebody else's
            os.fchmod(opened, PRIVATE_FILE)
        return os.fdopen(opened, "ab")
    except OSError:
        os.close(opened)
        raise


def private_folder(folder: Path) -> None:
    """Make a folder, and those above it, which their owner alone may enter; one that is there stays as it is."""
    if not folder.parent.exists():
        private_folder(folder.parent)
    folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)


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


def parse_json(text: str | bytes) -> Any:
    """A JSON value of a file that may be anybody's.

    Raises:
        ValueError: it is none, is nested too deeply, or holds a number that is not finite.
    """
    try:
        return json.loads(text, parse_float=_finite, parse_constant=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number:.40} is not a finite number")
    return value


class Journal:
    """Records in a file of JSON lines, which a later run resumes.

    It opens with the records of earlier runs. A last line without its line end, which a kill has cut, is removed.

    Args:
        file: Created with the first record; only its owner may read it, because it holds problems and solutions.
        parse: Makes a record of a line's value, or raises as that of `read_lines` may.

    Raises:
        ConfigurationError: it cannot be read, or a line is not a record; the message names it.
    """

    def __init__(self, file: Path, parse: Callable[[Any], dict[str, Any]] = dict) -> None:
        self._file = file
        self.records: list[dict[str, Any]] = []
        if file.exists():
            _take_off_cut_line(file)
            self.records = read_lines(file, "a record", parse)

    def append(self, record: dict[str, Any]) -> None:
        """Write one record immediately."""
        with open_private(self._file) as out:
            out.write(json.dumps(record).encode() + b"\n")
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


def _take_off_cut_line(file: Path) -> None:
    try:
        with open_regular(file) as opened:
            content = opened.read()
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror}") from error
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        file.write_bytes(whole)


def read_lines(
    file: Path, what: str, parse: Callable[[Any], T], skipped: Callable[[str], object] | None = None
) -> list[T]:
    """Parse each line that is not blank.

    Args:
        file: Of JSON lines.
        what: A line should be, for error messages: with its article and what it needs.
        parse: Makes a value of a line's JSON. It may raise ValueError, KeyError, TypeError, AttributeError or
            OverflowError.
        skipped: If given, a line that cannot be parsed is left out, and this is told which and why.

    Raises:
        ConfigurationError: the file cannot be read, or a line cannot be parsed; the message names it.
    """
    found = []
    try:
        with open_regular(file) as opened:
            for number, line in enumerate(_lines(opened), start=1):
                if not line.strip():
                    continue
                try:
                    found.append(parse(parse_json(line)))
                except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
                    wrong = f"{file}, line {number}, is not {what}: {error!r:.300}"
                    if skipped is None:
                        raise ConfigurationError(wrong) from error
                    skipped(wrong)
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"cannot read {file}: {error}") from error
    return found


def _lines(opened: BinaryIO) -> Iterator[str]:
    """The lines, which only a line feed ends: JSON may hold Unicode's other line ends."""
    encoding = "utf-8-sig"  # the first line may begin with a byte order mark
    while line := opened.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            raise OSError(errno.EFBIG, f"it has a line of more than {LONGEST_LINE >> 20} MiB")
        yield line.decode(encoding)
        encoding = "utf-8"
