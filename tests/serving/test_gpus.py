from pathlib import Path

import pytest

from rsd_graph.serving.gpus import GPU, find_gpus, parse_gpus

TABLE = "0, GPU-aa11, 81559, 81078\n1, GPU-bb22, 81559, 40000\n2, GPU-cc33, [N/A], [N/A]\n\n"


def test_gpus_are_parsed_with_their_free_memory() -> None:
    """In GiB; a GPU without figures for its memory is left out."""
    assert [gpu.index for gpu in parse_gpus(TABLE, None)] == [0, 1]
    assert parse_gpus(TABLE, None)[1] == GPU(1, 81559 / 1024, 40000 / 1024)


def test_only_visible_gpus_count() -> None:
    """By index or by UUID; an empty list is none."""
    assert [gpu.index for gpu in parse_gpus(TABLE, "1")] == [1]
    assert [gpu.index for gpu in parse_gpus(TABLE, "GPU-aa11,1")] == [0, 1]
    assert parse_gpus(TABLE, "") == []


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("echo 0, GPU-aa11, 81920, 40960; echo 1, GPU-bb22, 81920, 81920", [GPU(1, 80, 80)]),
        ("echo no devices were found; exit 6", []),
        ("echo 'Failed to initialize NVML'", []),
        (None, []),
    ],
)
def test_a_machine_is_asked_for_its_gpus(
    script: str | None, found: list[GPU], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through `nvidia-smi`; there are none if it is missing, fails or prints something else."""
    if script is not None:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert find_gpus() == found
