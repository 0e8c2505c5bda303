"""How much a sandbox may use."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Of one interpreter; all are above 0."""

    memory: int = 1 << 30
    """Bytes of address space."""
    file: int = 16 << 20
    """Bytes of one file."""
    scratch: int = 64 << 20
    """Bytes of all files in the scratch directory; they live in memory with bubblewrap."""
    files: int = 64
    """Open at once."""
    entries: int = 1_000
    """Files and folders in the scratch directory (where it is a real one, that is, without bubblewrap)."""
    output: int = 64 << 10
    """Characters of output that are kept; the rest is cut, with a mark."""
    flood: int = 8 << 20
    """Bytes of output after which the code is stopped."""
    cpu: int = 600
    """Seconds of processor time: of a whole session, beside the timeout of each block."""
    at_once: int = os.cpu_count() or 1
    """Blocks that run at the same time; others wait, and waiting does not count against their timeout."""

    def rlimits(self) -> dict[str, int]:
        """By the names of `resource`, without `RLIMIT_`."""
        return {"AS": self.memory, "FSIZE": self.file, "NOFILE": self.files, "CORE": 0, "CPU": self.cpu}
