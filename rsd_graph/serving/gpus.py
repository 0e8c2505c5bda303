"""Which GPUs this machine has, and what is free on them."""

import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass

MIB_PER_GIB = 1024
IN_ORDER = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
"""Has CUDA number the GPUs as `nvidia-smi` does; by itself it puts the fastest first."""


@dataclass(frozen=True, slots=True)
class GPU:
    """One GPU."""

    index: int
    """As in `CUDA_VISIBLE_DEVICES`, in the order of `IN_ORDER`."""
    gib: float
    """Its memory."""
    free: float | None = None
    """GiB of it that nobody uses now; None for all."""


def find_gpus() -> list[GPU]:
    """The NVIDIA GPUs here, those that `CUDA_VISIBLE_DEVICES` names if it is set; none where there is no driver."""
    query = ["nvidia-smi", "--query-gpu=index,uuid,memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return []
    return parse_gpus(answer.stdout, os.environ.get("CUDA_VISIBLE_DEVICES"))


def parse_gpus(table: str, visible: str | None) -> list[GPU]:
    """What `nvidia-smi` says: lines of index, UUID, MiB and free MiB. A GPU without memory of its own is left out."""
    wanted = None if visible is None else [each.strip() for each in visible.split(",") if each.strip()]
    found = []
    for line in table.splitlines():
        with suppress(ValueError):  # "[N/A]", or an empty line
            index, uuid, total, free = (cell.strip() for cell in line.split(","))
            gpu = GPU(int(index), float(total) / MIB_PER_GIB, float(free) / MIB_PER_GIB)
            if wanted is None or index in wanted or any(uuid.startswith(each) for each in wanted):
                found.append(gpu)
    return found
