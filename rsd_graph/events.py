"""What the graph tells while it runs: its custom stream events.

    async for event in graph.astream({"problem": ...}, stream_mode="custom"):
        match event["event"]: ...

One step makes these events, in this order: `proposed`, `scored`, then `replaced` if the target rewrote it, then `kept`.
A run ends with one `finished`. Embedded as a subgraph, they show with `subgraphs=True`.
"""

from typing import Literal

from langgraph.config import get_stream_writer
from typing_extensions import TypedDict

from rsd_graph.state import Author, Finish, Stop


class Proposed(TypedDict):
    """The draft has written a candidate for step `step` (counted from 0)."""

    event: Literal["proposed"]
    step: int
    text: str
    finish: Finish
    tokens: int


class Scored(TypedDict):
    """The candidate has its reward, in [0, 1]; None where there was nothing to score."""

    event: Literal["scored"]
    step: int
    reward: float | None
    accepted: bool


class Replaced(TypedDict):
    """The target has rewritten the step: `text` is its own."""

    event: Literal["replaced"]
    step: int
    text: str
    finish: Finish
    tokens: int


class Kept(TypedDict):
    """The step is part of the response now."""

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
    """Send the event to whoever streams the run with `stream_mode="custom"`."""
    get_stream_writer()(event)
