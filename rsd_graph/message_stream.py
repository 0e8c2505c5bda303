"""How the pieces of a response reach those who stream messages: in LangGraph's two ways, and in LangChain's events.

`push_message` of LangGraph serves one of the three. To the others the response looks like what a chat model says.
"""

from collections.abc import Iterable, Iterator
from typing import Any
from uuid import NAMESPACE_OID, uuid5
from weakref import WeakKeyDictionary

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tracers.event_stream import _AstreamEventsCallbackHandler
from langgraph.config import get_config
from langgraph.constants import TAG_NOSTREAM
from langgraph.pregel._messages import StreamMessagesHandler, StreamMessagesHandlerV2, graph_namespace

NAME = "rsd"
"""Of the chat model that the response seems to come from, in `astream_events`."""

HIDDEN = "__rsd_hidden_from"
"""Where a run's configuration holds the readers that get the response in another way."""

Event = dict[str, Any]

_shown: WeakKeyDictionary[object, dict[str, str]] = WeakKeyDictionary()
"""What each reader of events has got of a message that has not ended: both kinds of events end with the whole."""


def send(chunk: AIMessageChunk, whole: AIMessage | None = None) -> None:
    """Send a piece of a message to all that stream messages of the node that runs now.

    Args:
        chunk: The piece; its id is the message's.
        whole: The finished message, if the piece is the last.
    """
    config = get_config()
    hidden = config["configurable"].get(HIDDEN, ())
    for handler in _handlers(config):
        if any(handler is each for each in hidden):
            _note(handler, chunk)
        elif isinstance(handler, StreamMessagesHandler):
            _to_graph_stream(handler, config, chunk, whole)
        elif isinstance(handler, _AstreamEventsCallbackHandler):
            _to_event_stream(handler, config, chunk, whole)


def is_read() -> bool:
    """Whether anybody streams the messages of the node that runs now."""
    config = get_config()
    hidden = config["configurable"].get(HIDDEN, ())
    return any(
        isinstance(handler, _AstreamEventsCallbackHandler)
        or (isinstance(handler, StreamMessagesHandler) and _follows(handler, graph_namespace(config["metadata"])))
        for handler in _handlers(config)
        if not any(handler is each for each in hidden)
    )


def hidden_from_readers(handlers: Iterable[object]) -> dict[str, Any]:
    """What a configuration must hold so that these handlers, and those around this call, get no messages of the run."""
    around = var_child_runnable_config.get() or {}
    return {HIDDEN: (*handlers, *_handlers(around))}


def _handlers(config: RunnableConfig) -> list[Any]:
    callbacks: Any = config.get("callbacks")
    return list(getattr(callbacks, "handlers", callbacks) or ())


def _to_graph_stream(
    handler: StreamMessagesHandler, config: RunnableConfig, chunk: AIMessageChunk, whole: AIMessage | None
) -> None:
    """`stream_mode="messages"`: chunks; or the events of the protocol, in `astream_events(version="v3")`."""
    metadata = config["metadata"]
    namespace = graph_namespace(metadata)
    if not _follows(handler, namespace):
        return
    if isinstance(handler, StreamMessagesHandlerV2):
        for event in _protocol_events(handler, chunk, whole):
            handler.stream((namespace, "messages", (event, {**metadata, "run_id": chunk.id})))
    else:
        handler.stream((namespace, "messages", (chunk, metadata)))
    _note(handler, chunk)


def _follows(handler: StreamMessagesHandler, namespace: tuple[str, ...]) -> bool:
    """Whether the handler's reader wants what this graph says: subgraphs only if it asked for them."""
    return handler.subgraphs or not namespace or namespace == handler.parent_ns


def _note(handler: object, chunk: AIMessageChunk) -> None:
    """Have the handler know the message, so that the whole of it, which a node returns, does not follow its pieces."""
    if isinstance(handler, StreamMessagesHandler):
        handler.seen.add(str(chunk.id))


def _protocol_events(handler: object, chunk: AIMessageChunk, whole: AIMessage | None) -> Iterator[Event]:
    first, text = _grown(handler, chunk, last=whole is not None)
    if first:
        yield {"event": "message-start", "role": "ai", "id": chunk.id, "message_id": chunk.id}
        yield {"event": "content-block-start", "index": 0, "content": {"type": "text", "text": ""}}
    if chunk.text:
        delta = {"type": "text-delta", "text": str(chunk.text)}
        yield {"event": "content-block-delta", "index": 0, "delta": delta}
    if whole is not None:
        yield {"event": "content-block-finish", "index": 0, "content": {"type": "text", "text": text}}
        metadata = {**whole.response_metadata, "model_provider": NAME}
        yield {"event": "message-finish", "usage": whole.usage_metadata, "metadata": metadata}


def _to_event_stream(
    handler: _AstreamEventsCallbackHandler, config: RunnableConfig, chunk: AIMessageChunk, whole: AIMessage | None
) -> None:
    """`astream_events(version="v2")`: the events of a chat model that the node called."""
    node = getattr(config.get("callbacks"), "parent_run_id", None)
    parents = [*handler._get_parent_ids(node), str(node)] if node else []  # noqa: SLF001  # as the handler counts them
    common: Event = {
        "name": NAME,
        "run_id": str(uuid5(NAMESPACE_OID, str(chunk.id))),
        "tags": [tag for tag in config.get("tags") or () if tag != TAG_NOSTREAM],  # of the models that write it
        "metadata": dict(config["metadata"]),
        "parent_ids": parents,
    }
    first, _ = _grown(handler, chunk, last=whole is not None)
    events: list[tuple[str, Event]] = [("on_chat_model_stream", {"chunk": chunk})]
    if first:
        events.insert(0, ("on_chat_model_start", {"input": {"messages": []}}))
    if whole is not None:
        events.append(("on_chat_model_end", {"output": whole}))
    for event, data in events:
        sent: Any = {**common, "event": event, "data": data}
        handler._send(sent, "chat_model")  # noqa: SLF001  # its public ways in are coroutines


def _grown(handler: object, chunk: AIMessageChunk, *, last: bool) -> tuple[bool, str]:
    """Whether this is the first piece of its message for this reader, and all that the reader has got of it."""
    messages, message_id = _shown.setdefault(handler, {}), str(chunk.id)
    first, text = message_id not in messages, messages.get(message_id, "") + str(chunk.text)
    messages[message_id] = text
    if last:
        del messages[message_id]
    return first, text
