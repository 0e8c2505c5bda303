import asyncio
import json
from typing import Any

import pytest

from rsd_graph.gateway.refusals import Refusal
from rsd_graph.gateway.reply import Reply, StalledError


class Sent:
    """What was sent over ASGI."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    async def send(self, message: Any) -> None:
        self.messages.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)


def test_an_error_before_anything_is_sent_has_its_status() -> None:
    """With the headers that belong to it, and the request's id."""
    sent = Sent()
    asyncio.run(Reply(sent.send, "id-1", 1).fail(Refusal(429, "later", retry_after=2.4)))
    assert sent.messages[0]["status"] == 429
    headers = dict(sent.messages[0]["headers"])
    assert (headers[b"retry-after"], headers[b"x-request-id"]) == (b"2", b"id-1")
    assert json.loads(sent.body)["error"]["message"] == "later"


def test_an_error_in_a_stream_is_its_last_event() -> None:
    """The status was sent; the stream still ends as streams do."""
    sent = Sent()

    async def run() -> None:
        reply = Reply(sent.send, "id", 1)
        await reply.start_stream()
        await reply.event({"a": 1})
        await reply.fail(Refusal(504, "too slow"))

    asyncio.run(run())
    events = sent.body.decode().split("\n\n")
    assert events[0] == 'data: {"a":1}'
    assert "too slow" in events[1]
    assert events[2:] == ["data: [DONE]", ""]
    assert not sent.messages[-1].get("more_body")


def test_a_complete_answer_stays_as_it_is() -> None:
    """An error after it, such as the server's end, sends nothing more."""
    sent = Sent()

    async def run() -> None:
        reply = Reply(sent.send, "id", 1)
        await reply.json({"done": True})
        await reply.fail(Refusal(503, "shutting down"))

    asyncio.run(run())
    assert json.loads(sent.body) == {"done": True}


def test_a_client_that_reads_nothing_stalls() -> None:
    """The time that it may leave things unread has an end."""

    async def never(_: Any) -> None:
        await asyncio.sleep(60)

    with pytest.raises(StalledError):
        asyncio.run(Reply(never, "id", 0.05).json({}))
