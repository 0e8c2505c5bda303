"""Where a model sends the text of a step while it is still writing it.

The graph opens a sink around the calls whose text is final, which are the target's. A model that streams asks for it
once per call of `generate`, and passes on what it has; a model that does not stream need not know about it:

    sink = text_sink() if n == 1 else None
    async for text_so_far in ...:
        if sink:
            sink(text_so_far)
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

TextSink = Callable[[str], None]
"""Takes *all* the text of the step so far, not what came last: a model that repeats its request after an error starts
over, and nothing is shown twice. It can be called from any thread, and does not block. Text beyond the step delimiter
is ignored."""

_sink: ContextVar[TextSink | None] = ContextVar("text_sink", default=None)


def text_sink() -> TextSink | None:
    """The sink of this call; None if nobody is to see the text before the call has ended."""
    return _sink.get()


@contextmanager
def text_to(sink: TextSink | None) -> Iterator[None]:
    """Let the model that is called in this block send its text to `sink`."""
    token = _sink.set(sink)
    try:
        yield
    finally:
        _sink.reset(token)
