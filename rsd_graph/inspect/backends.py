"""The models of a configuration: opened once in a process, shared by all samples, closed when the process ends."""

import asyncio
import atexit
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

from rsd_graph._internal import background
from rsd_graph._internal.background import PerProcess
from rsd_graph.assembly import assemble
from rsd_graph.config import Config
from rsd_graph.strategies.outcome import Models

SLOTS = 8
"""Problems that an embedded model computes at once. Further samples wait."""

_opening: PerProcess[dict[str, asyncio.Task[Models]]] = PerProcess(dict)
_given: list[Models] = []


async def opened(config: Config) -> Models:
    """The models of this configuration, ready to run.

    Raises:
        RSDError: a server does not answer, or weights cannot be had. The next call tries again.
    """
    if _given:
        return _given[-1]
    return await background.call(_opened(config))


@contextmanager
def using(models: Models) -> Iterator[None]:
    """Let every solver and model provider in this process use these models, whatever is configured: for tests."""
    _given.append(models)
    try:
        yield
    finally:
        _given.remove(models)


async def _opened(config: Config) -> Models:
    tasks = _opening.get()
    key = config.model_dump_json(exclude={"settings"})
    task = tasks.get(key)
    if task is None:
        task = tasks[key] = asyncio.create_task(_open(config))
    try:
        return await asyncio.shield(task)
    except Exception:
        tasks.pop(key, None)
        raise


async def _open(config: Config) -> Models:
    async with AsyncExitStack() as stack:
        models = await stack.enter_async_context(assemble(config, slots=SLOTS))
        await models.start()
        closing = stack.pop_all()
    atexit.register(lambda: background.run(closing.aclose()))
    return Models(models.draft, models.target, models.reward, models.faster, models.parameters)
