"""Ask running servers what they are, before a client is chosen for them.

Several addresses are replicas of one model: the first that can be reached answers for all.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from pydantic import BaseModel

from rsd_graph.errors import ModelResponseError, ModelUnavailableError, ModelUnreachableError
from rsd_graph.models.http import ModelCard, ModelServer

T = TypeVar("T")

PROBE_SECONDS = 30
"""A server answers a probe at once or not at all, however long a step may take."""


class _Props(BaseModel):
    default_generation_settings: dict[str, Any]


async def is_llamacpp(addresses: Sequence[str], *, api_key: str | None = None, seconds: float = PROBE_SECONDS) -> bool:
    """Whether the servers are llama.cpp's: only that one has `/props`.

    Args:
        addresses: One or more replicas.
        api_key: Sent as a bearer token.
        seconds: How long to wait for an answer; `PROBE_SECONDS` at most.

    Raises:
        ModelError: no server can be reached, or the one that was reached cannot answer now.
    """

    async def has_props(server: ModelServer) -> bool:
        try:
            await server.get("/props", _Props)
        except ModelUnavailableError:  # it may be a llama.cpp that is loading its weights
            raise
        except ModelResponseError:
            return False
        return True

    return await _first_to_answer(addresses, has_props, api_key, seconds)


async def model_card(
    addresses: Sequence[str],
    *,
    model: str | None = None,
    api_key: str | None = None,
    seconds: float = PROBE_SECONDS,
) -> ModelCard:
    """What the servers say of their model.

    Args:
        addresses: One or more replicas.
        model: The name they serve it under; by default the first that is listed.
        api_key: Sent as a bearer token.
        seconds: How long to wait for an answer; `PROBE_SECONDS` at most.

    Raises:
        ModelError: no server can be reached, or the one that was reached gives no list of models.
    """
    return await _first_to_answer(addresses, lambda server: server.model(model), api_key, seconds)


async def _first_to_answer(
    addresses: Sequence[str], ask: Callable[[ModelServer], Awaitable[T]], api_key: str | None, seconds: float
) -> T:
    *others, last = addresses
    for url in others:
        with suppress(ModelUnreachableError):
            return await _probe(url, ask, api_key, seconds)
    return await _probe(last, ask, api_key, seconds)


async def _probe(url: str, ask: Callable[[ModelServer], Awaitable[T]], api_key: str | None, seconds: float) -> T:
    async with aclosing(ModelServer(url, api_key=api_key, timeout=min(seconds, PROBE_SECONDS))) as server:
        return await ask(server)
