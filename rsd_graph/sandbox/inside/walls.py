"""The walls that a process builds around itself: Landlock, seccomp, limits, no capabilities.

Standard library only: this runs inside, before anything else is imported. None can be taken down again; threads that
are started later stand behind them too. Numbers are Linux's, for x86-64.
"""

import ctypes
import errno
import os
import resource
import struct
from collections.abc import Iterable

LIBC = ctypes.CDLL(None, use_errno=True)

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38
SYS_CAPSET, SYS_SECCOMP = 126, 317
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446

READ = 1 << 2 | 1 << 3  # files and directories
TRUNCATE = 1 << 14  # from version 3
WRITE = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8  # files; remove files, directories; make directories, files
ENOUGH = 3
"""Landlock's version from which it alone protects files: before, what may be read could be truncated."""
RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
"""How many rights on files Landlock knows, by its version; 16 from version 5."""

PLAIN = {
    "read": 0, "write": 1, "open": 2, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "poll": 7, "lseek": 8, "mmap": 9,
    "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15,
    "pread64": 17, "pwrite64": 18, "readv": 19, "writev": 20, "access": 21, "pipe": 22, "select": 23,
    "sched_yield": 24, "mremap": 25, "mincore": 27, "madvise": 28, "dup": 32, "dup2": 33, "pause": 34,
    "nanosleep": 35, "getpid": 39, "sendfile": 40, "exit": 60, "uname": 63, "fsync": 74, "fdatasync": 75,
    "ftruncate": 77, "getcwd": 79, "chdir": 80, "rename": 82, "mkdir": 83, "rmdir": 84, "unlink": 87,
    "readlink": 89, "umask": 95, "gettimeofday": 96, "getrlimit": 97, "getrusage": 98, "sysinfo": 99, "times": 100,
    "getuid": 102, "getgid": 104, "geteuid": 107, "getegid": 108, "getppid": 110, "getpgrp": 111, "sigaltstack": 131,
    "gettid": 186, "time": 201, "futex": 202, "sched_getaffinity": 204, "getdents64": 217, "restart_syscall": 219,
    "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230, "exit_group": 231, "openat": 257,
    "mkdirat": 258, "newfstatat": 262, "unlinkat": 263, "renameat": 264, "readlinkat": 267, "faccessat": 269,
    "pselect6": 270, "ppoll": 271, "set_robust_list": 273, "dup3": 292, "pipe2": 293, "preadv": 295, "pwritev": 296,
    "getcpu": 309, "renameat2": 316, "getrandom": 318, "membarrier": 324, "copy_file_range": 326, "statx": 332,
    "rseq": 334, "faccessat2": 439,
}  # fmt: skip
"""System calls that an interpreter needs and that reach nothing beyond open files and what Landlock lets it open.

Not among them: everything that Landlock does not cover, such as chmod, chown, utime, setxattr and sockets.
"""
CLONE, FCNTL, IOCTL, KILL, TGKILL, PRLIMIT, CLONE3, OPENAT2 = 56, 72, 16, 62, 234, 302, 435, 437
CLONE_THREAD, CLONE_NEW_ANYTHING = 0x10000, 0x7E020080
FCNTL_COMMANDS = (0, 1, 2, 3, 4, 1030)  # duplicate, flags; not F_SETOWN, which sends signals
IOCTL_COMMANDS = (0x5401, 0x5451, 0x541B)  # is it a terminal, close on exec, how much can be read

ARCHITECTURE_X86_64 = 0xC000003E
ALLOW, REFUSE = 0x7FFF0000, 0x00050000
LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # where they are in what a filter sees


def lock_down(limits: dict[str, int], readable: Iterable[str], writable: Iterable[str], *, landlock: bool) -> int:
    """Build all walls around this process.

    Args:
        limits: The rlimits by name, such as `AS`; soft and hard alike.
        readable: Files and folders that may be read.
        writable: Files and folders that may be changed too.
        landlock: Whether to fail where Landlock is missing or too old.

    Returns:
        Landlock's version; 0 if the kernel has none.

    Raises:
        OSError: The kernel refused a wall.
    """
    _call(LIBC.prctl, PR_SET_PDEATHSIG, 9, 0, 0, 0)
    _call(LIBC.prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    version = landlock_version()
    if landlock and version < ENOUGH:
        message = f"Landlock's version is {version}, and {ENOUGH} is needed (Linux 6.2, `landlock` among its `lsm`)"
        raise OSError(errno.ENOSYS, message)
    if version > 0:
        _restrict_files(version, readable, writable)
    _drop_capabilities()
    for name, limit in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (limit, limit))
    _call(LIBC.prctl, PR_SET_DUMPABLE, 0, 0, 0, 0)
    _filter_calls()
    return version


def landlock_version() -> int:
    """Of the kernel's Landlock, on every architecture; 0 if it has none."""
    return max(int(LIBC.syscall(LANDLOCK_CREATE, None, 0, 1)), 0)


def _restrict_files(version: int, readable: Iterable[str], writable: Iterable[str]) -> None:
    rights = (1 << RIGHTS.get(version, 16)) - 1
    network = 3 if version >= 4 else 0  # noqa: PLR2004  # TCP: binding and connecting
    scopes = 3 if version >= 6 else 0  # noqa: PLR2004  # abstract sockets and signals
    fields = [rights] + [network] * (version >= 4) + [scopes] * (version >= 6)  # noqa: PLR2004
    attributes = struct.pack(f"{len(fields)}Q", *fields)
    ruleset = _call(LIBC.syscall, LANDLOCK_CREATE, attributes, len(attributes), 0)
    change = READ | WRITE | TRUNCATE
    for path, wanted in [*((path, READ) for path in readable), *((path, change) for path in writable)]:
        _allow(ruleset, path, wanted & rights)
    _call(LIBC.syscall, LANDLOCK_RESTRICT, ruleset, 0)
    os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    if not os.path.isdir(path):  # noqa: PTH112  # pathlib would be one more import in here
        rights &= 1 << 1 | 1 << 2 | TRUNCATE
    _call(LIBC.syscall, LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", rights, descriptor), 0)
    os.close(descriptor)


def _drop_capabilities() -> None:
    _call(LIBC.syscall, SYS_CAPSET, struct.pack("Ii", 0x20080522, 0), bytes(24))


def _filter_calls() -> None:
    program = _program(os.getpid())
    code = ctypes.create_string_buffer(b"".join(program))
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    _call(LIBC.syscall, SYS_SECCOMP, 1, 1, header)  # in every thread


def _program(process: int) -> list[bytes]:
    """The filter: what is not named fails with "Operation not permitted"."""
    return [
        _instruction(LOAD, ARCHITECTURE),
        _instruction(EQUAL, ARCHITECTURE_X86_64, 1, 0),
        _refuse(errno.EPERM),
        _instruction(LOAD, NUMBER),
        *(line for number in PLAIN.values() for line in _when(number, [_allowed()])),
        *_when(CLONE3, [_refuse(errno.ENOSYS)]),  # its flags are in memory, unseen: libraries fall back on `clone`
        *_when(OPENAT2, [_refuse(errno.ENOSYS)]),
        *_when(CLONE, _only_threads()),
        *_when(FCNTL, _one_of(1, FCNTL_COMMANDS)),
        *_when(IOCTL, _one_of(1, IOCTL_COMMANDS)),
        *_when(KILL, _one_of(0, [process])),
        *_when(TGKILL, _one_of(0, [process])),
        *_when(PRLIMIT, _only_reading()),
        _refuse(errno.EPERM),
    ]


def _only_threads() -> list[bytes]:
    return [
        _argument(0),
        _instruction(ANY_BIT, CLONE_NEW_ANYTHING, 1, 0),
        _instruction(ANY_BIT, CLONE_THREAD, 1, 0),
        _refuse(errno.EPERM),
        _allowed(),
    ]


def _only_reading() -> list[bytes]:
    """Of this process's own limits: no new ones are given."""
    return [
        _argument(0),
        _instruction(EQUAL, 0, 0, 4),
        _argument(2),
        _instruction(EQUAL, 0, 0, 2),
        _argument(2, half=1),
        _instruction(EQUAL, 0, 1, 0),
        _refuse(errno.EPERM),
        _allowed(),
    ]


def _one_of(argument: int, values: Iterable[int]) -> list[bytes]:
    checks = [line for value in values for line in (_instruction(EQUAL, value, 0, 1), _allowed())]
    return [_argument(argument), *checks, _refuse(errno.EPERM)]


def _when(number: int, lines: list[bytes]) -> list[bytes]:
    return [_instruction(EQUAL, number, 0, len(lines)), *lines]


def _argument(index: int, half: int = 0) -> bytes:
    return _instruction(LOAD, ARGUMENTS + 8 * index + 4 * half)


def _allowed() -> bytes:
    return _instruction(RETURN, ALLOW)


def _refuse(error: int) -> bytes:
    return _instruction(RETURN, REFUSE | error)


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def _call(function: "ctypes._NamedFuncPointer", *arguments: object) -> int:
    result = int(function(*arguments))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
