import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from rsd_graph.answers import verifier as verifier_module
from rsd_graph.answers.verifier import Verifier

HANGS = r"\sum_{k=1}^{10^{9}} \sin(k^2)"  # a thousand million terms


@pytest.fixture(scope="module")
def verifier() -> Iterator[Verifier]:
    """A verifier with a child process of its own."""
    made = Verifier()
    yield made
    made.close()


def test_one_child_compares_pair_after_pair(verifier: Verifier) -> None:
    """Sympy is imported once; a pair that cannot be parsed does not end the child."""
    assert verifier.same("0.5", r"\frac{1}{2}", 60)
    child = verifier._child
    assert not verifier.same("\\frac{", "3", 60)
    assert not verifier.same("line\nbreak", "3", 60)
    assert verifier.same("2x", "x + x", 60)
    assert verifier._child is child


def test_threads_get_their_own_answers(verifier: Verifier) -> None:
    """Comparisons from several threads take turns: no thread reads the answer to another's pair."""
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: verifier.same(f"{number}/2", str(number % 3), 60), range(12)))
    assert found == [number / 2 == number % 3 for number in range(12)]


def test_a_comparison_out_of_time_leaves_no_child() -> None:
    """The child is waited for at once: the next comparison must not ask a process that is about to be gone."""
    made = Verifier()
    assert not made.same(HANGS, "3", 0.2)
    assert made._child is None


def test_an_interrupted_comparison_does_not_answer_the_next() -> None:
    """Ctrl-C while a pair is compared: the answer to that pair is not read as the answer to another."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    made = Verifier()
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        assert made.same("1", "1", 60)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            made.same(HANGS, "3", 60)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert made._child is None


def test_a_child_that_was_killed_is_replaced(verifier: Verifier) -> None:
    """The system may kill it for its memory at any time; the next comparison starts another."""
    assert verifier.same("1/2", "0.5", 60)
    first = verifier._child
    assert first
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert verifier.same("1/2", "0.5", 60)
    assert verifier._child is not first


def test_the_child_does_not_import_langgraph() -> None:
    """Running the package's `__init__` would import LangGraph, and double the time until the first comparison."""
    code = (
        f"import runpy, sys; runpy.run_path({verifier_module._CHILD.as_posix()!r}, run_name='__main__'); "
        "print([name for name in sys.modules if name.startswith('lang')])"
    )
    command = [sys.executable, "-P", "-c", code]
    run = subprocess.run(command, input='["1/2", "0.5"]\n', capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["ready", "true", "[]"]


def test_a_program_that_compared_answers_ends_with_its_child() -> None:
    """The child is waited for: no process is left, and Python does not warn of one."""
    code = (
        "from rsd_graph.answers import compare, same_answer; same_answer('1/2', '0.5'); "
        "print(compare._verifier._child.pid)"
    )
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stderr == ""
    with pytest.raises(ProcessLookupError):
        os.kill(int(run.stdout), 0)


FORKED = """
import multiprocessing, os
from rsd_graph.answers import same_answer
pairs = [("0.5", r"\\frac{1}{2}"), ("2x", "x + x"), ("17/3", "18/3")]
assert same_answer(*pairs[0])
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.starmap(same_answer, pairs * 3, chunksize=1))
child = os.fork()
if child == 0:
    same = [same_answer(*pair) for pair in pairs]
    raise SystemExit(same != [True, True, False])
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), same_answer(*pairs[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forked_processes_start_a_child_of_their_own() -> None:
    """After a comparison in the parent, a pool and an `os.fork` compare; the parent's child still answers."""
    run = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, check=True, timeout=120)
    assert run.stdout.splitlines() == [str([True, True, False] * 3), "0 True"]


def test_a_fork_leaves_the_parents_pipes_alone() -> None:
    """Forgetting the child, as a forked process does, neither ends it nor sends anything to it."""
    made = Verifier()
    assert made.same("1/2", "0.5", 60)
    child = made._child
    assert child
    assert child.stdin
    assert child.stdout
    to_child, from_child = os.dup(child.stdin.fileno()), os.dup(child.stdout.fileno())
    made.forget()
    assert made._child is None
    os.write(to_child, b'["2/4", "0.5"]\n')
    assert os.read(from_child, 10) == b"true\n"
    os.close(to_child)
    os.close(from_child)
    os.waitpid(child.pid, 0)
