"""What a chat model says of a run of the graph, chunk by chunk."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from rsd_graph.agents.stops import StopWatch
from rsd_graph.agents.thoughts import Kind, ThoughtSplitter
from rsd_graph.reply import usage_metadata


class Transcript:
    """Turns what the graph streams into chunks of one message. It ends at a stop sequence, or with the run.

    Args:
        model_name: What the message says wrote it.
        stops: Sequences before which the message ends.
        thinking: As in `ThoughtSplitter`.
    """

    def __init__(self, model_name: str, stops: Sequence[str], *, thinking: bool = False) -> None:
        self._model_name = model_name
        self._stops = StopWatch(stops)
        self._thoughts = ThoughtSplitter(thinking=thinking)
        self._id: str | None = None
        self._values: dict[str, Any] = {}

    @property
    def stopped(self) -> bool:
        """Whether the message has ended at a stop sequence: the run is not needed any more."""
        return self._stops.stopped

    def read(self, mode: str, part: Any) -> Iterator[ChatGenerationChunk]:
        """The chunks of one part of the graph's stream, in the modes `messages` and `values`."""
        if mode == "values":
            self._values = part
            return
        message, _ = part
        if isinstance(message, AIMessageChunk):
            self._id = message.id
            yield from self._chunks(self._thoughts.feed(self._stops.feed(str(message.text))))

    def end(self) -> Iterator[ChatGenerationChunk]:
        """The last chunks: what was held back, and the metadata."""
        yield from self._chunks(self._thoughts.feed(self._stops.end()))
        yield from self._chunks(self._thoughts.end())
        usage = self._values.get("usage")
        last = AIMessageChunk(
            content="",
            id=self._id,
            usage_metadata=usage_metadata(usage) if usage else None,
            response_metadata={**self._metadata(), "model_name": self._model_name},
            chunk_position="last",
        )
        yield ChatGenerationChunk(message=last)

    def _chunks(self, said: Iterable[tuple[Kind, str]]) -> Iterator[ChatGenerationChunk]:
        for kind, text in said:
            thought = {"reasoning_content": text} if kind == "reasoning" else {}
            chunk = AIMessageChunk(content="" if thought else text, id=self._id, additional_kwargs=thought)
            yield ChatGenerationChunk(message=chunk)

    def _metadata(self) -> dict[str, Any]:
        """Of the finished message; a message that ended at a stop sequence knows its run only so far."""
        messages = self._values.get("messages") or [None]
        if isinstance(messages[-1], AIMessage) and not self.stopped:
            return messages[-1].response_metadata
        return {"finish_reason": "stop", "stop": "stop_sequence"}
