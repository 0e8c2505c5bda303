import ast
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rsd_graph.answers import verify_child
from rsd_graph.answers.verifier import Verifier


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
    assert not made.same("10^{10^{10^{10}}}", "3", 0.2)
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
            made.same("10^{10^{10^{10}}}", "3", 60)
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


def test_the_child_imports_nothing_of_the_package() -> None:
    """Importing the package would import LangGraph, and double the time until the first comparison."""
    imported = {
        name
        for node in ast.walk(ast.parse(Path(verify_child.__file__).read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert imported == {"json", "sys", "contextlib", "math_verify"}


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
