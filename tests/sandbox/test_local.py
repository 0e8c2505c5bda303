import asyncio
import gc
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from rsd_graph.sandbox import Limits, LocalSandbox, SandboxError
from rsd_graph.sandbox.backends import BACKENDS, Backend
from rsd_graph.sandbox.protocols import Sandbox


def children() -> set[str]:
    """Process ids of all children of this process, zombies included."""
    listed = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return {child for file in listed for child in file.read_text().split()}


def test_it_is_a_sandbox(sandbox: LocalSandbox) -> None:
    """As the protocol has it, for mypy and for readers."""
    typed: Sandbox = sandbox
    assert asyncio.run(typed.run("2 + 2")).output == "4\n"


@pytest.mark.parametrize(
    ("code", "output", "error"),
    [
        ("print(1)\n2", "1\n", ""),
        ("x = 3\nx", "3\n", ""),
        ("'a'", "'a'\n", ""),
        ("None", "", ""),
        ("x = 1", "", ""),
        ("", "", ""),
        ("print(1)\n1/0", "1\n", "line 2: 1/0\nZeroDivisionError: division by zero"),
        ("from sympy import *\nx = symbols('x')\nsolve(x**2 - 2)[1]", "sqrt(2)\n", ""),
        ("import numpy as np\nint(np.arange(5).sum())", "10\n", ""),
        ("open('note', 'w').write('é')\nopen('note').read()", "'é'\n", ""),
    ],
)
def test_output_and_error(sandbox: LocalSandbox, code: str, output: str, error: str) -> None:
    """What is printed, else the last expression; what went wrong ends as Python names it."""
    result = asyncio.run(sandbox.run(code, timeout=30))
    assert (result.output, result.error) == (output, error)


def test_single_runs_share_nothing(sandbox: LocalSandbox) -> None:
    """Each has an interpreter and a scratch directory of its own."""

    async def run() -> None:
        await sandbox.run("x = 1; open('note', 'w').write('1')")
        assert (await sandbox.run("x")).error.endswith("NameError: name 'x' is not defined")
        assert "FileNotFoundError" in (await sandbox.run("open('note')")).error

    asyncio.run(run())


def test_a_session_remembers_and_is_rebuilt(sandbox: LocalSandbox) -> None:
    """Variables, imports and functions stay; after a timeout, earlier blocks have run again, unseen."""

    async def run() -> None:
        async with sandbox.session() as session:
            await session.run("import math\ndef f(x): return math.floor(x)\nprint('once')")
            ended = await session.run("y = 1\nwhile True: pass", timeout=0.3)
            assert (ended.timed_out, ended.restarted) == (True, True)
            assert ended.error == "TimeoutError: the code was stopped after 0.3 seconds"
            assert (await session.run("f(2.5)")).output == "2\n"
            assert "NameError" in (await session.run("y")).error

    asyncio.run(run())


def test_a_session_with_a_history(sandbox: LocalSandbox) -> None:
    """As after a resume in another process; a block that ends the interpreter is left out."""

    async def run() -> None:
        async with sandbox.session(history=["x = 1", "import os; os._exit(1)", "x += 1\nprint(x)", "1/0"]) as session:
            result = await session.run("x + 40")
            assert (result.output, result.error) == ("42\n", "")

    asyncio.run(run())


def test_threads_stop_with_their_block(sandbox: LocalSandbox) -> None:
    """What a block leaves running does nothing until the next one runs."""
    code = "import threading, time\nn = 0\ndef f():\n global n\n while True: n += 1; time.sleep(0.001)\n"

    async def run() -> None:
        async with sandbox.session() as session:
            await session.run(code + "threading.Thread(target=f, daemon=True).start()")
            before = int((await session.run("n")).output)
            await asyncio.sleep(0.5)
            assert int((await session.run("n")).output) - before < 100

    asyncio.run(run())


def test_cancelling_kills_at_once(backend: Backend) -> None:
    """No process is left, not even a zombie; the session can be used again."""

    async def run() -> None:
        sandbox = LocalSandbox(backends=[backend], preload=())
        async with sandbox.session() as session:
            await session.run("x = 41")
            task = asyncio.create_task(session.run("while True: pass", timeout=60))
            await asyncio.sleep(0.2)
            begun = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert time.monotonic() - begun < 2
            assert (await session.run("x + 1")).output == "42\n"
        sandbox.close()

    before = children()
    asyncio.run(run())
    deadline = time.monotonic() + 5
    while children() - before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not children() - before


def test_many_at_once(backend: Backend) -> None:
    """More than the limit wait for their turn, and waiting does not count against their time."""

    async def run() -> list[str]:
        sandbox = LocalSandbox(Limits(at_once=2), [backend], preload=())
        try:
            runs = (sandbox.run(f"import time; time.sleep(0.2); print({i})", timeout=3) for i in range(8))
            return [result.output for result in await asyncio.gather(*runs)]
        finally:
            sandbox.close()

    assert asyncio.run(run()) == [f"{i}\n" for i in range(8)]


def test_output_is_cut(backend: Backend) -> None:
    """At the limit, with a mark."""
    sandbox = LocalSandbox(Limits(output=100), [backend], preload=())
    result = asyncio.run(sandbox.run("print('é' * 5000)"))
    sandbox.close()
    assert result.output == "é" * 100 + "\n[cut: more than 100 characters were printed]"


def test_scratch_directories_are_removed(
    sandbox: LocalSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever was written into them."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    async def run() -> None:
        for _ in range(2):
            await sandbox.run("import os; os.makedirs('a/b'); open('a/b/c', 'w').write('x')")

    asyncio.run(run())
    sandbox.close()
    assert not list(tmp_path.iterdir())


def test_a_fork_has_a_sandbox_of_its_own() -> None:
    """And leaves the parent's interpreters alone."""
    code = (
        "import asyncio, os, warnings\nfrom rsd_graph.sandbox import LocalSandbox\ns = LocalSandbox(preload=())\n"
        "async def run(code): return (await s.run(code)).output\n"
        "print(asyncio.run(run('1')), flush=True)\nwarnings.simplefilter('ignore')\nchild = os.fork()\n"
        "print(asyncio.run(run('2')), flush=True)\n"
        "if child: os.waitpid(child, 0); print(asyncio.run(run('3')), flush=True)\ns.close()"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["1", "2", "2", "3"]


def test_interpreters_end_with_their_parent(backend: Backend) -> None:
    """Also if it is killed in the middle of a block."""
    code = (
        "import asyncio, sys\nfrom rsd_graph.sandbox import LocalSandbox\n"
        "from rsd_graph.sandbox.backends import BACKENDS\n"
        f"s = LocalSandbox(backends=[b for b in BACKENDS if b.name == {backend.name!r}], preload=())\n"
        "asyncio.run(s.run('1'))\nprint('ready', flush=True)\nasyncio.run(s.run('while True: pass', 60))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    parent.stdout.readline()
    time.sleep(0.3)
    inside = _descendants(parent.pid)
    parent.kill()
    parent.communicate()
    assert inside
    deadline = time.monotonic() + 5
    while any(_runs(process) for process in inside) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(_runs(process) for process in inside)


def _descendants(process: int) -> list[int]:
    found = []
    for file in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, file.read_text().split()):
            found += [child, *_descendants(child)]
    return found


def _runs(process: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


def test_nothing_runs_without_walls() -> None:
    """If no backend holds, nothing is executed, and the error says why and what to do."""
    unprotected = replace(BACKENDS[0], name="open", command=_without_walls, missing=lambda: "")
    absent = replace(BACKENDS[0], name="absent", missing=lambda: "the program bwrap is not here")
    sandbox = LocalSandbox(backends=[absent, unprotected])
    with pytest.raises(SandboxError, match=r"absent: the program.*open: .*Nothing was executed.*rsd sandbox check"):
        asyncio.run(sandbox.run("print('executed')"))


def _without_walls(limits: Limits, preload: Sequence[str], scratch: str, answers: int) -> list[str]:
    """A backend whose interpreter does not lock down: as if a kernel accepted the walls and ignored them."""
    command = next(b for b in BACKENDS if b.name == "landlock").command(limits, preload, scratch, answers)
    code = "import sys; sys.argv = sys.argv[1:]\n"
    code += "source = open(sys.argv[0]).read().replace('_lock_down(settings, sent)\\n', 'pass\\n', 1)\n"
    code += "exec(compile(source, 'child', 'exec'))"
    return [command[0], "-c", code, *command[-2:]]


def test_closing_leaves_no_warning(backend: Backend) -> None:
    """Every pipe is closed."""
    sandbox = LocalSandbox(backends=[backend], preload=())
    asyncio.run(sandbox.run("1"))
    sandbox.close()
    del sandbox
    gc.collect()
