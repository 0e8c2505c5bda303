import asyncio
import json
import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from rsd_graph._internal.files import (
    LONGEST_LINE,
    Journal,
    expanded,
    open_private,
    parse_json,
    read_lines,
    read_regular,
    write_atomically,
)
from rsd_graph.errors import ConfigurationError


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    """Nothing else is left in the folder; an older file is replaced."""
    file = tmp_path / "reward.safetensors"
    for content in (b"old", b"newer"):
        write_atomically(file, content)
        assert file.read_bytes() == content
    assert list(tmp_path.iterdir()) == [file]


def test_a_write_that_fails_keeps_the_old_file(tmp_path: Path) -> None:
    """A full disk, or a folder in the way, is an OSError, and the file is as it was."""
    file = tmp_path / "file.json"
    file.write_bytes(b"old")
    (tmp_path / f"file.json.{os.getpid()}.unfinished").mkdir()
    with pytest.raises(OSError, match="unfinished"):
        write_atomically(file, b"new")
    assert file.read_bytes() == b"old"
    with pytest.raises(OSError, match="missing"):
        write_atomically(tmp_path / "missing" / "file", b"new")


def test_a_journal_keeps_what_is_appended(tmp_path: Path) -> None:
    """At once, one record per line; the next one opened has them all."""
    file = tmp_path / "journal.jsonl"
    journal = Journal(file)
    assert journal.records == []
    journal.append({"a": 1})
    journal.append({"text": "two\nlines"})
    assert journal.records == [{"a": 1}, {"text": "two\nlines"}] == Journal(file).records
    assert len(file.read_text().splitlines()) == 2


@pytest.mark.parametrize("cut", ['{"a": 2', '{"a": 2}', "{"])
def test_a_line_that_was_cut_is_taken_off(tmp_path: Path, cut: str) -> None:
    """A kill in the middle of a write costs that record and no other; the next one starts on a line of its own."""
    file = tmp_path / "journal.jsonl"
    file.write_text('{"a": 1}\n' + cut)
    journal = Journal(file)
    assert journal.records == [{"a": 1}]
    journal.append({"a": 3})
    assert [json.loads(line) for line in file.read_text().splitlines()] == [{"a": 1}, {"a": 3}]


def test_a_journal_of_one_cut_line_is_empty(tmp_path: Path) -> None:
    """There was nothing before it."""
    file = tmp_path / "journal.jsonl"
    file.write_text('{"a"')
    assert Journal(file).records == []
    assert file.read_bytes() == b""


def test_filling_writes_each_record_when_it_is_there(tmp_path: Path) -> None:
    """The fastest first; progress starts from what the file holds already."""
    file = tmp_path / "journal.jsonl"
    file.write_text('{"a": 0}\n')
    journal = Journal(file)
    seen: list[tuple[int, int]] = []

    async def work(number: int, seconds: float) -> dict[str, Any]:
        await asyncio.sleep(seconds)
        return {"a": number}

    asyncio.run(journal.fill([work(1, 0.05), work(2, 0)], lambda *now: seen.append(now)))
    assert journal.records == Journal(file).records == [{"a": 0}, {"a": 2}, {"a": 1}]
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_filling_stops_at_an_error(tmp_path: Path) -> None:
    """The rest is cancelled; what was finished before is in the file, so that a rerun resumes."""
    file = tmp_path / "journal.jsonl"
    journal = Journal(file)
    cancelled = []

    async def finish() -> dict[str, Any]:
        return {"a": 1}

    async def fail() -> dict[str, Any]:
        await asyncio.sleep(0.01)
        raise ZeroDivisionError

    async def hang() -> dict[str, Any]:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return {}

    with pytest.raises(ZeroDivisionError):
        asyncio.run(journal.fill([finish(), hang(), fail()], lambda *_: None))
    assert cancelled == [True]
    assert Journal(file).records == [{"a": 1}]


def test_nothing_to_fill_is_reported_once(tmp_path: Path) -> None:
    """A complete journal needs no work."""
    seen: list[tuple[int, int]] = []
    asyncio.run(Journal(tmp_path / "journal.jsonl").fill([], lambda *now: seen.append(now)))
    assert seen == [(0, 0)]


def test_lines_are_parsed_in_order(tmp_path: Path) -> None:
    """Blank ones do not count; only a line feed ends a line, for JSON may hold Unicode's other line ends."""
    file = tmp_path / "lines.jsonl"
    file.write_text('{"a": "one\u2028two"}\n\n  \n{"a": "three"}\n')
    assert read_lines(file, "a record", lambda value: value["a"]) == ["one\u2028two", "three"]


@pytest.mark.parametrize("line", ["not JSON", "[]", '{"b": 1}', "3", "null"])
def test_a_line_that_is_none_is_named(tmp_path: Path, line: str) -> None:
    """With the file, its number as an editor counts, and what it should be."""
    file = tmp_path / "lines.jsonl"
    file.write_text('{"a": 1}\n\n' + line + "\n")
    with pytest.raises(ConfigurationError, match=r"lines\.jsonl, line 3, is not a record with an `a`: "):
        read_lines(file, "a record with an `a`", lambda value: value["a"])


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """One that is missing, and one that is not text."""
    with pytest.raises(ConfigurationError, match=r"cannot read .*gone"):
        read_lines(tmp_path / "gone", "a record", dict)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"cannot read .*binary"):
        read_lines(tmp_path / "binary", "a record", dict)


def irregular(folder: Path) -> dict[str, Path]:
    """Paths to what is no regular file, by what they are."""
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(folder / "socket"))
    return {
        "a folder": folder,
        "a named pipe": folder / "pipe",
        "a socket": folder / "socket",
        "a device": Path("/dev/zero"),
    }


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    """Others may never end, or never begin."""
    for kind, file in irregular(tmp_path).items():
        with pytest.raises(OSError, match="not a regular file") as caught:
            read_regular(file, 10)
        assert caught.value.strerror == f"it is {kind}, and not a regular file"
        with pytest.raises(ConfigurationError, match=f"cannot read {file}: it is {kind}"):
            read_lines(file, "a record", dict)
        if kind != "a folder":
            with pytest.raises(ConfigurationError, match=f"cannot read {file}: it is {kind}"):
                Journal(file)


def test_files_have_a_size(tmp_path: Path) -> None:
    """One byte too many is refused; a path that no system knows is an error of the system."""
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    assert read_regular(file, 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4e-06 MB"):
        read_regular(file, 4)
    with pytest.raises(OSError, match="null byte"):
        read_regular(Path("a\0b"), 4)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (100_000 * "[", "nested too deeply"),
        ("[NaN]", "NaN is not a finite number"),
        ("[-Infinity]", "-Infinity is not a finite number"),
        ("[1e999]", "1e999 is not a finite number"),
        (5000 * "1", "is not a record"),
    ],
)
def test_json_that_is_a_trap_is_named(tmp_path: Path, line: str, why: str) -> None:
    """In one short line, with the number of its own."""
    file = tmp_path / "lines.jsonl"
    file.write_text("{}\n" + line + "\n")
    with pytest.raises(ConfigurationError, match=r"line 2, is not a record: ") as caught:
        read_lines(file, "a record", dict)
    assert why in str(caught.value)
    assert len(str(caught.value)) < 600
    with pytest.raises(ConfigurationError, match=r"line 2, is not a record: "):
        Journal(file)


def test_a_gigantic_line_is_refused(tmp_path: Path) -> None:
    """Before it is in memory."""
    file = tmp_path / "lines.jsonl"
    with file.open("wb") as out:
        out.truncate(LONGEST_LINE + 2)  # sparse
    with pytest.raises(ConfigurationError, match="it has a line of more than 16 MiB"):
        read_lines(file, "a record", dict)


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    """Some editors write one."""
    (tmp_path / "lines").write_bytes(b"\xef\xbb\xbf{}\n")
    assert read_lines(tmp_path / "lines", "a record", dict) == [{}]


def test_numbers_are_read_exactly() -> None:
    """As the json module reads them."""
    assert parse_json('{"a": [-0.5, 1e-5, 3, null, true]}') == {"a": [-0.5, 1e-5, 3, None, True]}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_private_files_are_their_owners_alone(tmp_path: Path) -> None:
    """So are the folders made for them, whatever the umask; a folder that was there stays as it is."""
    tmp_path.chmod(0o755)
    file = tmp_path / "new" / "deeper" / "file"
    before = os.umask(0)
    try:
        with open_private(file) as out:
            out.write(b"a")
        file.chmod(0o644)
        with open_private(file) as out:
            out.write(b"b")
        Journal(tmp_path / "journal").append({"problem": "secret"})
    finally:
        os.umask(before)
    assert file.read_bytes() == b"ab"
    assert [mode(each) for each in (file, tmp_path / "journal", file.parent, file.parent.parent, tmp_path)] == [
        0o600,
        0o600,
        0o700,
        0o700,
        0o755,
    ]
    for kind, other in irregular(tmp_path).items():
        if kind != "a folder":
            with pytest.raises(OSError, match=r"not a regular file|No such device"):
                open_private(other)


def test_the_home_folder_stands_for_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start alone; an unknown user's is named, and a control character is."""
    monkeypatch.setenv("HOME", "/home/me")
    assert expanded(Path("~/a/~b")) == Path("/home/me/a/~b")
    assert expanded(Path("a/~")) == Path("a/~")
    with pytest.raises(ValueError, match="the home folder of ~nobody-of-this-name is not known"):
        expanded(Path("~nobody-of-this-name/a"))
    with pytest.raises(ValueError, match=r"the control character '\\x1b' is not allowed"):
        expanded(Path("a\x1b[2J"))
