"""The models of a configuration: opened once in a process, shared by all samples, closed when the process ends."""

import asyncio
import atexit
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from rsd_graph._internal import background
from rsd_graph._internal.background import PerProcess
from rsd_graph.assembly import Assembly, assemble
from rsd_graph.config import Config
from rsd_graph.strategies.outcome import Models

SLOTS = 8
"""Problems that an embedded model computes at once, unless `fresh_for_each` says how many there are. More wait."""
MOST_SLOTS = 16
"""Each takes the memory of a context."""


@dataclass(slots=True)
class _Open:
    """The models that are open, by their configurations, and for whom they were opened."""

    tasks: dict[str, asyncio.Task[Models]] = field(default_factory=dict)
    stacks: list[AsyncExitStack] = field(default_factory=list)
    owner: object = None


_open: PerProcess[_Open] = PerProcess(_Open)
_given: list[Models] = []
_fresh: list[int] = []
"""For each `fresh_for_each` that is open, the slots of its models."""


async def opened(config: Config, owner: object = None) -> Models:
    """The models of this configuration, ready to run.

    Args:
        config: Which models.
        owner: Who asks; see `fresh_for_each`.

    Raises:
        RSDError: a server does not answer, or weights cannot be had. The next call tries again.
    """
    if _given:
        return _given[-1]
    return await background.call(_opened(config, owner))


@asynccontextmanager
async def reached(config: Config) -> AsyncIterator[Models]:
    """The models of this configuration as they are told apart before any work: no weights are loaded.

    Raises:
        RSDError: a server does not answer, or is not what it should be.
    """
    if _given:
        yield _given[-1]
        return
    async with assemble(config) as assembly:
        yield _models(assembly)


@contextmanager
def using(models: Models) -> Iterator[None]:
    """Let every solver and model provider in this process use these models, whatever is configured: for tests."""
    _given.append(models)
    try:
        yield
    finally:
        _given.remove(models)


@contextmanager
def fresh_for_each(in_flight: int = SLOTS) -> Iterator[None]:
    """Open embedded models anew for each owner, while owners come one after the other.

    Prompts that an earlier strategy has left in the models' caches would make a later one on the same problems look
    faster than it is.

    Args:
        in_flight: Problems that are solved at once: embedded models get as many slots, up to `MOST_SLOTS`.
    """
    _fresh.append(min(in_flight, MOST_SLOTS))
    try:
        yield
    finally:
        _fresh.pop()


async def _opened(config: Config, owner: object) -> Models:
    now = _open.get()
    if _fresh and owner is not now.owner:
        now.owner = owner
        await _close(now)
    key = config.model_dump_json(exclude={"settings"})
    task = now.tasks.get(key)
    if task is None:
        task = now.tasks[key] = asyncio.create_task(_opened_first(config, now))
    try:
        return await asyncio.shield(task)
    except Exception:
        now.tasks.pop(key, None)
        raise


async def _opened_first(config: Config, now: _Open) -> Models:
    async with AsyncExitStack() as stack:
        assembly = await stack.enter_async_context(assemble(config, slots=_fresh[-1] if _fresh else SLOTS))
        await assembly.start()
        if not now.stacks:
            atexit.register(lambda: background.run(_close(now)))
        now.stacks.append(stack.pop_all())
    return _models(assembly)


def _models(assembly: Assembly) -> Models:
    return Models(assembly.draft, assembly.target, assembly.reward, assembly.faster, assembly.parameters)


async def _close(now: _Open) -> None:
    now.tasks.clear()
    while now.stacks:
        await now.stacks.pop().aclose()
