"""What this machine is, in a line: figures that were measured mean little without it."""

import os
import platform
from functools import cache
from pathlib import Path


@cache
def machine() -> str:
    """The processor, the cores that this process may use, the memory and the system.

    GPUs are not named: models that are served run elsewhere.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parts = [_processor(), f"{cores} core{'s' * (cores != 1)}", *_memory(), f"{platform.system()} {platform.release()}"]
    return ", ".join(parts)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory() -> list[str]:
    try:
        return [f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"]
    except (AttributeError, ValueError, OSError):  # not POSIX
        return []
