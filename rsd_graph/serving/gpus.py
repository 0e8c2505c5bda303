"""Which GPUs this machine has."""

import subprocess
from dataclasses import dataclass

MIB_PER_GIB = 1024


@dataclass(frozen=True, slots=True)
class GPU:
    """One GPU."""

    index: int
    """As in `CUDA_VISIBLE_DEVICES`."""
    gib: float
    """Its memory."""


def find_gpus() -> list[GPU]:
    """The NVIDIA GPUs here, in order; none where there is no driver."""
    query = ["nvidia-smi", "--query-gpu=index,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [line.split(",") for line in answer.stdout.splitlines() if line.strip()]
    return [GPU(int(index), float(mib) / MIB_PER_GIB) for index, mib in rows]
