"""One request's run of the graph: the text that its response grows by, and what became of each step."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessageChunk

from rsd_graph.agents.stops import StopWatch
from rsd_graph.gateway.metrics import Metrics, NodeClock
from rsd_graph.gateway.request import Asked
from rsd_graph.gateway.thinking import Piece, Thoughts
from rsd_graph.state import Step, Stop, Usage


@dataclass(frozen=True, slots=True)
class KeptStep:
    """A step that is now part of the response; for requests that ask for details."""

    step: Step
    index: int
    rejected: str | None
    """What the draft proposed for it, if the target rewrote it."""


@dataclass(frozen=True, slots=True)
class Working:
    """The models answer, and there is nothing to show yet."""


@dataclass(slots=True)
class Outcome:
    """What a run came to; complete when `events` has ended."""

    stop: Stop | None = None
    """Why it ended; None if a stop text ended it."""
    answer: str | None = None
    usage: Usage = field(default_factory=Usage)

    @property
    def finish_reason(self) -> str:
        """OpenAI's word for it."""
        return "length" if self.stop in ("max_steps", "max_tokens", "context_overflow") else "stop"


Event = Piece | KeptStep | Working


class Run:
    """One run of the graph.

    Args:
        graph: As `create_rsd_graph` returns it.
        asked: What the client asks for.
        request_id: Names the thread, for a graph with a checkpointer.
        metrics: Told what happens.
        ended: Called when the run has ended, before its last event is read.
    """

    def __init__(
        self, graph: Any, asked: Asked, request_id: str, metrics: Metrics, ended: Callable[[], None] = lambda: None
    ) -> None:
        self.outcome = Outcome()
        self._graph = graph
        self._asked = asked
        self._config = {"configurable": {"thread_id": request_id}}
        self._metrics = metrics
        self._ended = ended
        self._working = False
        self._clock = NodeClock(metrics)
        self._stops = StopWatch(asked.stop)
        self._thoughts = Thoughts()
        self._proposed: dict[int, str] = {}
        self._grown = ""

    async def events(self) -> AsyncGenerator[Event, None]:
        """Run the graph. A consumer that closes the iterator cancels the run and its requests to the models.

        Raises:
            Exception: as the graph does.
        """
        self._metrics.active.inc()
        try:
            async with aclosing(self._chunks()) as chunks:
                async for mode, chunk in chunks:
                    for event in self._events_of(mode, chunk):
                        yield event
                    if self._stops.stopped:
                        self.outcome.stop = None
                        break
        finally:
            self._ended()
            self._metrics.active.dec()
            self._metrics.ended(self.outcome.stop, self.outcome.usage, stop_text=self._stops.stopped)
        for piece in self._last_pieces():
            yield piece

    def _chunks(self) -> Any:
        early = ["messages"] if self._asked.stream or self._asked.stop else []  # else the last value has the response
        return self._graph.astream(
            {"messages": self._asked.messages},
            self._config,
            context=self._asked.settings,
            stream_mode=["custom", "values", *early],
        )

    def _events_of(self, mode: str, chunk: Any) -> list[Event]:
        match mode:
            case "custom":
                kept = self._step_event(chunk)
                return [kept] if kept and self._asked.details else self._first_sign()
            case "messages" if isinstance(chunk[0], AIMessageChunk):
                self._grown += chunk[0].text
                return list(self._pieces(chunk[0].text))
            case "values":
                return list(self._value(chunk))
        return []

    def _first_sign(self) -> list[Event]:
        """Tell once that the run works; more would only cost time."""
        first, self._working = not self._working, True
        return [Working()] if first else []

    def _pieces(self, text: str) -> list[Piece]:
        return list(self._thoughts.feed(self._stops.feed(text)))

    def _value(self, value: Mapping[str, Any]) -> list[Piece]:
        """The state so far. At the end, whatever of the response has not been streamed."""
        self.outcome.usage = value.get("usage") or Usage()
        self.outcome.answer = value.get("answer")
        self.outcome.stop = value.get("stop")
        response = value.get("response") or ""
        if not self.outcome.stop or len(response) <= len(self._grown) or not response.startswith(self._grown):
            return []
        rest, self._grown = response[len(self._grown) :], response
        return self._pieces(rest)

    def _last_pieces(self) -> list[Piece]:
        rest = "" if self._stops.stopped else self._stops.end()
        return [*self._thoughts.feed(rest), *self._thoughts.end()]

    def _step_event(self, event: Mapping[str, Any]) -> KeptStep | None:
        self._clock.saw(event["event"])
        match event:
            case {"event": "proposed", "step": index, "text": text}:
                self._proposed[index] = text
            case {"event": "scored", "accepted": accepted}:
                self._metrics.scored(accepted=accepted)
            case {"event": "kept", "step": index, "text": text, "author": author, "reward": reward}:
                self._metrics.kept(author)
                proposed = self._proposed.pop(index, None)
                return KeptStep(Step(text, author, reward), index, proposed if author == "target" else None)
        return None
