import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from rsd_graph._internal.per_loop import PerLoop


def test_each_loop_has_its_own() -> None:
    made = PerLoop[object](object)

    async def both() -> tuple[object, object]:
        return made.get(), made.get()

    first, second = asyncio.run(both()), asyncio.run(both())
    assert first[0] is first[1]
    assert first[0] is not second[0]


def test_loops_in_threads_do_not_share() -> None:
    made = PerLoop[object](object)

    async def get() -> object:
        await asyncio.sleep(0.01)
        return made.get()

    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda _: asyncio.run(get()), range(32)))
    assert len(set(map(id, got))) == 32


def test_what_belongs_to_closed_loops_is_forgotten() -> None:
    """A program that calls `asyncio.run` again and again keeps one of them at most."""
    made = PerLoop[object](object)

    async def get() -> None:
        made.get()

    for _ in range(5):
        asyncio.run(get())
    assert len(made.drop()) == 1
    assert made.drop() == {}


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_child_has_none_of_the_parents() -> None:
    made = PerLoop[int](os.getpid)

    async def get() -> int:
        return made.get()

    assert asyncio.run(get()) == os.getpid()
    child = os.fork()
    if not child:
        os._exit(int(made.drop() == {} and asyncio.run(get()) == os.getpid()))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
