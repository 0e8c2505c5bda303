"""One HTTP response: JSON, or server-sent events, which can still end in an error."""

import asyncio
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json
from starlette.types import Message, Send

from rsd_graph.gateway.refusals import Refusal

PING = b": ping\n\n"
"""A comment: clients skip it."""


class StalledError(Exception):
    """The client has not read what it was sent for too long, or its connection is broken."""


class Reply:
    """Answers one request.

    Args:
        send: Of ASGI.
        request_id: Sent along as a header, and names the run in the log.
        stalled_seconds: Seconds that the client may leave unread what it is sent.
    """

    def __init__(self, send: Send, request_id: str, stalled_seconds: float) -> None:
        self.status: int | None = None
        """Of HTTP; None before anything is sent."""
        self.streaming = False
        """Whether a stream has begun, and not ended."""
        self._send = send
        self._request_id = request_id
        self._stalled_seconds = stalled_seconds

    async def json(self, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Answer with one JSON value."""
        content = to_json(value)
        await self._start(status, {"content-type": "application/json", "content-length": str(len(content))}, headers)
        await self._write({"type": "http.response.body", "body": content})

    async def start_stream(self) -> None:
        """Begin a stream of events, unless it has begun."""
        if self.streaming:
            return
        self.streaming = True
        await self._start(
            200,
            {
                "content-type": "text/event-stream; charset=utf-8",
                "cache-control": "no-cache",
                "x-accel-buffering": "no",  # nginx would collect the events
            },
        )

    async def event(self, value: Any) -> None:
        """Send one event of the stream."""
        await self._more(b"data: " + to_json(value) + b"\n\n")

    async def ping(self) -> None:
        """Show that the connection is alive."""
        await self._more(PING)

    async def end_stream(self) -> None:
        """End the stream as OpenAI does."""
        self.streaming = False
        await self._write({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def fail(self, refusal: Refusal) -> None:
        """Answer with an error, or end the stream with one. A complete answer stays as it is."""
        if self.streaming:
            await self.event(refusal.body)
            await self.end_stream()
        elif self.status is None:
            await self.json(refusal.body, refusal.status, refusal_headers(refusal))

    async def _more(self, content: bytes) -> None:
        await self._write({"type": "http.response.body", "body": content, "more_body": True})

    async def _start(self, status: int, *headers: Mapping[str, str] | None) -> None:
        self.status = status
        fields = {name: value for each in headers for name, value in (each or {}).items()}
        fields["x-request-id"] = self._request_id
        raw = [(name.encode(), value.encode()) for name, value in fields.items()]
        await self._write({"type": "http.response.start", "status": status, "headers": raw})

    async def _write(self, message: Message) -> None:
        try:
            async with asyncio.timeout(self._stalled_seconds):
                await self._send(message)
        except OSError as error:  # a timeout, too; a model's own errors of this class do not pass here
            raise StalledError from error


def refusal_headers(refusal: Refusal) -> dict[str, str]:
    """The headers that belong to an error."""
    headers = {} if refusal.retry_after is None else {"retry-after": str(max(1, round(refusal.retry_after)))}
    return {**headers, "www-authenticate": "Bearer"} if refusal.status == 401 else headers  # noqa: PLR2004
