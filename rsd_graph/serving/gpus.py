"""The GPUs of this machine, and their free memory."""

import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass

MIB_PER_GIB = 1024
IN_ORDER = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
"""Makes CUDA number the GPUs as `nvidia-smi` does; its default puts the fastest first."""


@dataclass(frozen=True, slots=True)
class GPU:
    """One GPU."""

    index: int
    """As in `CUDA_VISIBLE_DEVICES`, with the numbering of `IN_ORDER`."""
    gib: float
    """Its memory in GiB."""
    free: float | None = None
    """GiB that are free now; None means all."""


def find_gpus() -> list[GPU]:
    """The NVIDIA GPUs of this machine that `CUDA_VISIBLE_DEVICES` allows; none if there is no driver."""
    query = ["nvidia-smi", "--query-gpu=index,uuid,memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return []
    return parse_gpus(answer.stdout, os.environ.get("CUDA_VISIBLE_DEVICES"))


def parse_gpus(table: str, visible: str | None) -> list[GPU]:
    """Parse the output of `nvidia-smi`: lines of index, UUID, MiB and free MiB.

    A GPU without these figures, which has no memory of its own, is left out.
    """
    wanted = None if visible is None else [each.strip() for each in visible.split(",") if each.strip()]
    found = []
    for line in table.splitlines():
        with suppress(ValueError):  # "[N/A]", or an empty line
            index, uuid, total, free = (cell.strip() for cell in line.split(","))
            gpu = GPU(int(index), float(total) / MIB_PER_GIB, float(free) / MIB_PER_GIB)
            if wanted is None or index in wanted or any(uuid.startswith(each) for each in wanted):
                found.append(gpu)
    return found
