"""Attempts to get out of the sandbox. Each prints ESCAPED if it has succeeded, and nothing but that counts.

`python -m tests.sandbox.escapes` prints a table of what stopped each, under every backend that works here.
"""

import asyncio
import re

from rsd_graph.sandbox.backends import BACKENDS
from rsd_graph.sandbox.local import LocalSandbox
from rsd_graph.sandbox.protocols import Execution

SECONDS = 0.4
"""For attempts that never end."""

LIBC = "import ctypes; c = ctypes.CDLL(None, use_errno=True)\n"
CHECKED = "\nif r < 0: import os; raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))\nprint('ESCAPED')"
ESCAPED = "\nprint('ESCAPED')"


def _socket(family: str, kind: str = "SOCK_STREAM") -> str:
    return f"import socket; socket.socket(socket.{family}, socket.{kind})" + ESCAPED


def _call(number: int, *arguments: str) -> str:
    return f"{LIBC}r = c.syscall({', '.join([str(number), *arguments])})" + CHECKED


def _python(code: str) -> str:
    return code + ESCAPED


ESCAPES: dict[str, str] = {
    # files
    "read /etc/passwd": _python("open('/etc/passwd').read()"),
    "list /": _python("import os; assert any(n in os.listdir('/') for n in ('etc', 'home', 'root'))"),
    "list the home folder": _python("import os; os.listdir('/root')"),
    "read by dot-dot": _python("open('../../../../etc/passwd').read()"),
    "read through a symbolic link": _python("import os; os.symlink('/etc/passwd', 'l'); open('l').read()"),
    "read through a hard link": _python("import os; os.link('/etc/passwd', 'h'); open('h').read()"),
    "read by a link in /proc": _python("open('/proc/self/root/etc/passwd').read()"),
    "open by descriptor of a folder": _python("import os; os.open('etc/passwd', os.O_RDONLY, dir_fd=os.open('/', os.O_PATH))"),
    "write outside": _python("open('/tmp/rsd-escape', 'w')"),
    "write into the interpreter": _python("import ast; open(ast.__file__, 'a')"),
    "write into a package": _python("import sympy; open(sympy.__file__, 'a')"),
    "change the mode of a file": _python("import ast, os; os.chmod(ast.__file__, 0o777)"),
    "change the time of a file": _python("import ast, os; os.utime(ast.__file__, (1, 1))"),
    "change the owner of a file": _python("import ast, os; os.chown(ast.__file__, 1, 1)"),
    "extended attributes": _python("import ast, os; os.setxattr(ast.__file__, 'user.x', b'1')"),
    "truncate a file": _python("import ast, os; os.truncate(ast.__file__, 0)"),
    "rename a file": _python("import ast, os; os.rename(ast.__file__, ast.__file__ + '~')"),
    "remove a file": _python("import ast, os; os.unlink(ast.__file__)"),
    "make a named pipe": _python("import os; os.mkfifo('p')"),
    "make a device": _python("import os; os.mknod('d', 0o20666, os.makedev(1, 1))"),
    # sockets
    "socket: IPv4": _socket("AF_INET"),
    "socket: IPv4, datagrams": _socket("AF_INET", "SOCK_DGRAM"),
    "socket: IPv4, raw": _socket("AF_INET", "SOCK_RAW"),
    "socket: IPv6": _socket("AF_INET6"),
    "socket: UNIX": _socket("AF_UNIX"),
    "socket: NETLINK": _socket("AF_NETLINK", "SOCK_RAW"),
    "socket: PACKET": _socket("AF_PACKET", "SOCK_RAW"),
    "socket: VSOCK": _socket("AF_VSOCK"),
    "socket: ALG": _socket("AF_ALG", "SOCK_SEQPACKET"),
    "socket: abstract": _python("import socket; socket.socket(socket.AF_UNIX).connect('\\0/tmp/.X11-unix/X0')"),
    "socket pair": _python("import socket; socket.socketpair()"),
    "a name server": _python("import socket; socket.getaddrinfo('example.com', 80)"),
    "fetch a page": _python("import urllib.request; urllib.request.urlopen('http://127.0.0.1/', timeout=0.5)"),
    # processes
    "fork": _python("import os\nif os.fork() == 0: os._exit(0)"),
    "a fork bomb": _python("import os\nwhile True: os.fork()"),
    "vfork": _call(58),
    "clone3": _call(435, "bytes(88)", "88"),
    "clone without a thread": _call(56, "17", "0", "0", "0", "0"),
    "subprocess": _python("import subprocess; subprocess.run(['/bin/true'])"),
    "a shell": _python("import os; assert os.system('true') == 0"),
    "exec": _python("import os, sys; os.execv('/bin/true', ['true'])"),
    "exec in memory": _python("import os; os.memfd_create('x')"),
    "multiprocessing": _python("import multiprocessing as m; p = m.Process(target=print); p.start()"),
    "a pseudoterminal": _python("import pty; pty.openpty()"),
    "a session of its own": _call(112),
    "a group of its own": _python("import os; os.setpgid(0, 0)"),
    # other processes
    "signal to the parent": _python("import os; os.kill(os.getppid() or 1, 9)"),
    "signal to all": _python("import os; os.kill(-1, 9)"),
    "signal to the group": _python("import os; os.killpg(0, 9)"),
    "signal by descriptor owner": _python("import fcntl, os; fcntl.fcntl(1, fcntl.F_SETOWN, os.getppid() or 1)"),
    "ptrace": _call(101, "16", "1", "0", "0"),
    "read another's memory": _call(310, "1", "0", "0", "0", "0", "0"),
    "pidfd": _python("import os; os.pidfd_open(1)"),
    "the parent's environment": _python("import os; open(f'/proc/{os.getppid() or 1}/environ', 'rb').read()"),
    "the own environment": _python("import os; assert set(os.environ) & {'HOME', 'PATH', 'USER', 'PYTHONPATH'}"),
    "the own memory by /proc": _python("open('/proc/self/mem', 'r+b')"),
    "shared memory": _python("from multiprocessing import shared_memory as s; s.SharedMemory(create=True, size=9)"),
    "shared memory of System V": _call(29, "0", "4096", "0o1600"),
    "message queue": _call(68, "0", "0o1600"),
    "renice others": _python("import os; os.setpriority(os.PRIO_USER, 0, 19)"),
    # the kernel
    "a user namespace": _call(272, "0x10000000"),
    "a network namespace": _call(272, "0x40000000"),
    "mount": _call(165, "b'none'", "b'/'", "b'tmpfs'", "0", "0"),
    "chroot": _python("import os; os.chroot('.')"),
    "io_uring": _call(425, "8", "bytes(120)"),
    "bpf": _call(321, "0", "bytes(64)", "64"),
    "perf": _call(298, "bytes(112)", "0", "-1", "-1", "0"),
    "keyctl": _call(250, "0", "-3", "1"),
    "prctl": _call(157, "4", "1", "0", "0", "0"),
    "userfaultfd": _call(323, "0"),
    "a module": _call(313, "0", "b''", "0"),
    "reboot": _call(169, "0xfee1dead", "672274793", "0", "0"),
    "set the clock": _python("import time; time.clock_settime(0, 1.0)"),
    "the 32-bit door": _call(0x40000000 + 41, "2", "1", "0"),
    "become somebody else": _python("import os; os.setuid(0)"),
    "raise a limit": _python("import resource as r; r.setrlimit(r.RLIMIT_AS, (-1, -1))"),
    "core dumps": _python("import resource as r; r.setrlimit(r.RLIMIT_CORE, (1, 1))"),
    "/dev/mem": _python("open('/dev/mem', 'rb')"),
    "/dev/shm": _python("open('/dev/shm/x', 'wb')"),
    "/dev/tty": _python("open('/dev/tty', 'wb')"),
    "/dev/kmsg": _python("open('/dev/kmsg', 'rb')"),
    # the language
    "find a class with open": _python(
        "w = [c for c in ().__class__.__base__.__subclasses__() if c.__name__ == '_wrap_close'][0]\n"
        "w.__init__.__globals__['open']('/etc/passwd', 0)"
    ),
    "a loader of its own": _python(
        "from importlib.machinery import SourceFileLoader as L; L('m', '/etc/passwd').get_data('/etc/passwd')"
    ),
    "an import hook": _python("import sys; sys.path.insert(0, '/tmp'); import rsd_escape"),
    "the package around it": _python("import rsd_graph"),
    "read from standard input": _python("assert input()"),
    "read from descriptor 0": _python("import os; assert os.read(0, 1)"),
}  # fmt: skip
"""What leaves the interpreter as it is: they can share one."""
EXHAUSTING: dict[str, str] = {
    "memory": _python("x = bytearray(1 << 31)"),
    "memory, in small pieces": _python("x = [bytes(1 << 20) for _ in range(1 << 14)]"),
    "threads": _python("import threading, time\nfor _ in range(4000): threading.Thread(target=time.sleep, args=(9,), daemon=True).start()"),
    "open files": _python("x = [open('/dev/null') for _ in range(5000)]"),
    "one big file": _python("open('big', 'wb').write(bytes(1 << 27))"),
    "many big files": _python("for i in range(40): open(f'f{i}', 'wb').write(bytes(8 << 20))"),
    "an endless loop": _python("while True: pass"),
    "sleep": _python("import time; time.sleep(60)"),
    "an endless loop that catches": "while True:\n try:\n  while True: pass\n except BaseException: pass",
    "ignore signals": _python("import signal\nfor n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\nwhile True: pass"),
    "endless output": _python("while True: print('x' * 10000)"),
    "a big number": _python("x = 10 ** 10 ** 10"),
    "deep recursion": _python("def f(): f()\nf()"),
    "deep recursion in C": _python("import sys\nsys.setrecursionlimit(1 << 30)\ndef f(): return f()\nx = []\nfor _ in range(1 << 20): x = [x]\nrepr(x)"),
    "a null pointer": _python("import ctypes; ctypes.string_at(0)"),
    "os._exit": _python("import os; os._exit(0)"),
    "abort": _python("import os; os.abort()"),
    "stop itself": _python("import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"),
    "sys.exit": _python("import sys; sys.exit('bye')"),
    "close all descriptors": _python("import os; os.closerange(0, 100); print(open('/etc/passwd').read())"),
    "write into the pipe": "import os\nfor n in range(3, 64):\n try: os.write(n, b'\\0\\0\\0\\x02{}')\n except OSError: pass",
    "a pickle for the parent": (
        "import os, pickle\nclass P:\n def __reduce__(self): return print, ('ESC' + 'APED',)\n"
        "for n in range(3, 64):\n try: os.write(n, pickle.dumps(P()))\n except OSError: pass"
    ),
    "an answer without end": "import os\nfor n in range(3, 64):\n try: os.write(n, b'\\xff' * (1 << 20))\n except OSError: pass",
    "a forged answer": (
        "import json, os\nd = json.dumps({'id': '0', 'error': ''}).encode(); d = len(d).to_bytes(4, 'big') + d\n"
        "for n in range(3, 64):\n try: os.write(n, d)\n except OSError: pass"
    ),
}  # fmt: skip
"""What ends or exhausts it."""
HARMLESS: dict[str, tuple[str, str]] = {
    "replace print": ("import builtins; builtins.print = None; raise ValueError('x')", ""),
    "replace stdout": ("import sys; sys.stdout = None; 1", "1\n"),
    "close stdout": ("import sys; sys.stdout.close()", ""),
    "an exit handler": ("import atexit; atexit.register(print, 'late'); print('now')", "now\n"),
    "a lone surrogate": ("print('\\ud800')", "\\ud800\n"),
    "zero bytes": ("print('a\\0b')", "a\0b\n"),
    "bytes that are no text": ("import os; n = os.write(1, b'\\xff\\n')", "\ufffd\n"),
    "output past sys.stdout": ("import os; n = os.write(1, b'raw')", "raw"),
    "warnings": ("import warnings\nfor i in range(9999): warnings.warn(str(i))\nprint('done')", "done\n"),
    "no Python": ("this is not Python", ""),
    "zero bytes in the code": ("print(1)\0", ""),
    "deeply nested code": ("(" * 5000 + ")" * 5000, ""),
    "an exception that cannot be shown": ("class E(Exception):\n def __str__(self): 1/0\nraise E", ""),
    "an exception that is no exception": ("raise KeyboardInterrupt", ""),
    "a value that cannot be shown": ("class V:\n def __repr__(self): 1/0\nV()", ""),
    "an error of a megabyte": ("raise ValueError('x' * (1 << 20))", ""),
}
"""What must do no harm, and what it prints."""


def stopped_by(result: Execution) -> str:
    """The wall that ended an attempt, from what the kernel or the parent said."""
    walls = {
        r"TimeoutError: the code was stopped": "time limit",
        r"printed more": "output limit",
        r"scratch directory may hold|File too large|No space left|SIGXFSZ": "file limit",
        r"MemoryError|can't start new thread|Too many open files": "memory and file limits",
        r"own pipe": "the pipe's framing",
        r"ended by the signal|ended the interpreter": "a process of its own",
        r"Errno 1\]|Errno 38\]|not allowed to raise|name resolution|not permitted": "seccomp",
        r"Errno 13\]": "Landlock or the owner of the file",
        r"Errno 2\]|Errno 30\]|No module named": "files that are not there",
    }
    return next((wall for pattern, wall in walls.items() if re.search(pattern, result.error)), "Python itself")


async def _rows() -> list[list[str]]:
    attempts = ESCAPES | EXHAUSTING
    rows = [[name] for name in attempts]
    for backend in BACKENDS:
        sandbox = LocalSandbox(backends=[backend], preload=())
        for row in rows:
            row.append(_said(await sandbox.run(attempts[row[0]], SECONDS)))
        sandbox.close()
    return rows


def _said(result: Execution) -> str:
    return "nothing" if "ESCAPED" in result.output else stopped_by(result)


if __name__ == "__main__":
    print("| attempt |", *(f"{backend.name} |" for backend in BACKENDS))
    print("|---|" + "---|" * len(BACKENDS))
    for row in asyncio.run(_rows()):
        print(f"| {' | '.join(row)} |")
