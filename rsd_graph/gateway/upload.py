"""Reads the body of a request, no larger and no slower than a client may send it."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from starlette.types import Receive

from rsd_graph.gateway.limits import Limits
from rsd_graph.gateway.refusals import Refusal

DRAINING = 5
"""Seconds that a client whose body is too long may go on sending: many read no answer before they have sent all."""


class GoneError(Exception):
    """The client has closed the connection."""


async def read_body(receive: Receive, headers: Mapping[str, str], limits: Limits) -> bytes:
    """The whole body.

    Raises:
        Refusal: it is not JSON by its type, too long, or too slow.
        GoneError: the client has gone.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        message = f"the content type must be application/json, got {kind or 'none'!r:.80}"
        raise Refusal(415, message)
    try:
        async with asyncio.timeout(limits.upload_seconds):
            return await _collected(receive, limits.body)
    except TimeoutError as error:
        raise Refusal(408, f"the request was not complete within {limits.upload_seconds:g} seconds") from error


async def _collected(receive: Receive, most: int) -> bytes:
    content = bytearray()
    more = True
    while more:
        part, more = await _part(receive)
        content += part
        if len(content) > most:
            content.clear()
            await _drain(receive, more=more)
            raise Refusal(413, f"the body is longer than {most} bytes", code="request_too_large")
    return bytes(content)


async def _drain(receive: Receive, *, more: bool) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAINING):
            while more:
                _, more = await _part(receive)


async def _part(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise GoneError
    return message.get("body", b""), message.get("more_body", False)
