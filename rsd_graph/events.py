"""The custom stream events that the graph emits while it runs.

    async for event in graph.astream({"problem": ...}, stream_mode="custom"):
        match event["event"]: ...

Each step emits these events in this order: `proposed`, `scored`, `replaced` if the target rewrote it, `kept`; those of
what a review has drawn again come once more. The last event of a run is `finished`. From a graph embedded in a parent,
they arrive only with `subgraphs=True`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables.config import var_child_runnable_config
from langgraph.config import get_stream_writer
from langgraph.constants import TAG_NOSTREAM
from typing_extensions import TypedDict

from rsd_graph.message_stream import send
from rsd_graph.state import Author, Finish, Stop


class Proposed(TypedDict):
    """The draft has written a candidate for step `step` (counted from 0)."""

    event: Literal["proposed"]
    step: int
    text: str
    finish: Finish
    tokens: int


class GivenUp(Proposed):
    """The draft has begun a candidate, and stopped in the middle because it could no longer be kept."""

    given_up: Literal[True]


class Scored(TypedDict):
    """The reward model has scored the candidate, in [0, 1].

    `reward` is None if there was nothing to score; or, if the candidate is accepted, if a gate let it pass unscored.
    """

    event: Literal["scored"]
    step: int
    reward: float | None
    accepted: bool


class Replaced(TypedDict):
    """The target has rewritten the step; `text` is what the target wrote."""

    event: Literal["replaced"]
    step: int
    text: str
    finish: Finish
    tokens: int


class Kept(TypedDict):
    """The step is now part of the response."""

    event: Literal["kept"]
    step: int
    text: str
    author: Author
    reward: float | None


class Finished(TypedDict):
    """The run has ended."""

    event: Literal["finished"]
    stop: Stop
    answer: str | None
    steps: int


RSDEvent = Proposed | Scored | Replaced | Kept | Finished


def emit(event: RSDEvent) -> None:
    """Send the event to every consumer that streams the run with `stream_mode="custom"`."""
    get_stream_writer()(event)


def show(text: str, message_id: str, *, whole: AIMessage | None = None) -> None:
    """Send a piece of the response to all that stream messages: by `stream_mode="messages"`, or by `astream_events`.

    Args:
        text: What the response has grown by. It is final: no piece is ever taken back.
        message_id: Of the message that the response becomes; all pieces of a run carry it.
        whole: That message, if the run has ended; the piece is the last then, and carries its metadata.
    """
    if whole is None:
        send(AIMessageChunk(content=text, id=message_id))
        return
    last = AIMessageChunk(
        content=text,
        id=message_id,
        usage_metadata=whole.usage_metadata,
        response_metadata=whole.response_metadata,
        chunk_position="last",
    )
    send(last, whole)


@contextmanager
def unshown() -> Iterator[None]:
    """Keep chat models that are called in this block out of `stream_mode="messages"`.

    What a draft proposes or a judge says is not part of the response.
    """
    config = var_child_runnable_config.get() or {}
    token = var_child_runnable_config.set({**config, "tags": [*(config.get("tags") or ()), TAG_NOSTREAM]})
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)
