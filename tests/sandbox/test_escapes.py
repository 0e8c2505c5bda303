import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from rsd_graph.sandbox.local import LocalSandbox, LocalSession
from tests.sandbox.escapes import ESCAPES, EXHAUSTING, HARMLESS, SECONDS


@pytest.fixture(scope="module")
def session(sandbox: LocalSandbox) -> Iterator[LocalSession]:
    """One for all attempts that leave the interpreter as it is."""
    shared = LocalSession(sandbox, ())
    yield shared
    shared.close()


@pytest.mark.parametrize("attempt", ESCAPES)
def test_an_escape_fails_and_the_session_lives_on(session: LocalSession, attempt: str) -> None:
    """It fails with a clear error, ends nothing, and what follows computes."""
    result = asyncio.run(session.run(ESCAPES[attempt], 5))
    assert "ESCAPED" not in result.output
    assert result.error
    assert not result.restarted
    assert asyncio.run(session.run("print(6 * 7)")).output == "42\n"


@pytest.mark.parametrize("attempt", EXHAUSTING)
def test_what_ends_the_interpreter_ends_nothing_else(sandbox: LocalSandbox, attempt: str) -> None:
    """The error says what happened; the session goes on with what was defined before."""

    async def run() -> None:
        async with sandbox.session() as session:
            await session.run("kept = 41")
            result = await session.run(EXHAUSTING[attempt], SECONDS)
            assert "ESCAPED" not in result.output
            assert len(result.output) < 70_000
            assert result.error.strip()
            assert len(result.error) < 5_000
            if result.restarted:  # else it may have no memory or no thread left: its own
                assert (await session.run("print(kept + 1)")).output == "42\n"
        assert (await sandbox.run("print(6 * 7)")).output == "42\n"

    asyncio.run(run())


@pytest.mark.parametrize("case", HARMLESS)
def test_odd_code_has_a_clear_result(sandbox: LocalSandbox, case: str) -> None:
    """What it prints is text, and the next block prints again."""
    code, output = HARMLESS[case]

    async def run() -> None:
        async with sandbox.session() as session:
            result = await session.run(code)
            assert result.output == output
            assert result.output or result.error
            assert not result.restarted
            assert "\ud800" not in result.output + result.error
            await session.run("import sys, builtins")
            assert (await session.run("sys.stdout.write('on')")).output == "on"

    asyncio.run(run())


def test_nothing_was_left_outside() -> None:
    """After all of that: no file where the attempts wanted one."""
    assert not Path("/tmp/rsd-escape").exists()
