"""`POST /v1/chat/completions`."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing, suppress
from functools import partial
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from rsd_graph.gateway.completion import Envelope, delta, message, told_outcome, told_step
from rsd_graph.gateway.keys import require_key
from rsd_graph.gateway.limits import Gate, Limits
from rsd_graph.gateway.metrics import Metrics
from rsd_graph.gateway.refusals import Refusal, log, refusal_of, stopping, too_slow
from rsd_graph.gateway.reply import Reply, StalledError
from rsd_graph.gateway.request import Asked, read_request
from rsd_graph.gateway.run import Event, KeptStep, Run
from rsd_graph.gateway.thinking import Piece
from rsd_graph.gateway.upload import GoneError, read_body
from rsd_graph.review import may_pause

READ_AHEAD = 64
"""Events of a run that wait for a slow client, before the run waits for it too."""


class ChatCompletions:
    """The endpoint, an ASGI application: each request is one run of the graph.

    Args:
        graph: As `create_rsd_graph` returns it.
        name: The model's name.
        api_key: What clients must present; None for no key.
        limits: What one client may take.
        metrics: Told what happens.
    """

    def __init__(self, graph: Any, name: str, api_key: str | None, limits: Limits, metrics: Metrics) -> None:
        self._graph = graph
        self._name = name
        self._api_key = api_key
        self._limits = limits
        self._metrics = metrics
        self._gate = Gate(limits.runs)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, in whichever way it ends."""
        request_id = f"chatcmpl-{uuid4().hex}"
        reply = Reply(send, request_id, self._limits.stalled_seconds)
        started = time.monotonic()
        try:
            await self._answer(Request(scope), receive, reply, request_id)
        except asyncio.CancelledError:  # the server is shut down
            with suppress(StalledError):
                await reply.fail(stopping())
            raise
        except (GoneError, StalledError) as error:
            log.info("%s: the client has gone (%s)", request_id, type(error).__name__)
        except Exception as error:  # noqa: BLE001  # whatever a user's own model raises
            with suppress(StalledError):
                await reply.fail(refusal_of(error, request_id))
        finally:
            self._metrics.requests.labels(str(reply.status or 499)).inc()  # 499: nginx's word for a client that went
            self._metrics.seconds.observe(time.monotonic() - started)

    async def _answer(self, request: Request, receive: Receive, reply: Reply, request_id: str) -> None:
        require_key(request, self._api_key)
        with self._gate.enter() as leave:
            asked = read_request(await read_body(receive, request.headers, self._limits), self._name)
            self._require_permission(asked)
            run = Run(self._graph, asked, request_id, self._metrics, leave)
            envelope = Envelope(request_id, self._name, asked.include_usage)
            answer = _stream if asked.stream else _whole
            await _while_connected(receive, self._in_time(partial(answer, run, asked, envelope, reply, self._limits)))

    def _require_permission(self, asked: Asked) -> None:
        """Whoever runs the gateway decides whether this machine runs code that a model wrote, not its clients."""
        builder = getattr(self._graph, "builder", None)
        if asked.settings.tools != "off" and not getattr(builder, "runs_code", False):
            raise Refusal(400, "`rsd.tools` is off here: this gateway runs no code", param="rsd.tools")
        if may_pause(asked.settings):
            name = "review" if asked.settings.review != "off" else "interrupt_below"
            raise Refusal(400, f"`rsd.{name}` is off here: nobody could answer a run that pauses", param=f"rsd.{name}")

    async def _in_time(self, answer: Callable[[], Awaitable[None]]) -> None:
        limit = asyncio.timeout(self._limits.seconds)
        try:
            async with limit:
                await answer()
        except TimeoutError as error:
            if not limit.expired():  # a model's own
                raise
            raise too_slow(self._limits.seconds) from error


async def _while_connected(receive: Receive, answer: Coroutine[Any, Any, None]) -> None:
    """Await the answer, and cancel it as soon as the client has gone.

    Raises:
        GoneError: it has.
    """
    working, watching = asyncio.create_task(answer), asyncio.create_task(_disconnected(receive))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise GoneError
        await working
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _whole(run: Run, asked: Asked, envelope: Envelope, reply: Reply, _: Limits) -> None:
    """Answer with one object, after the run."""
    events: list[Event] = []
    async with aclosing(run.events()) as running:
        async for event in running:
            events.append(event)  # noqa: PERF401  # a comprehension would not close it
    steps = [told_step(event) for event in events if isinstance(event, KeptStep)]
    more = {"rsd": {**told_outcome(run.outcome), "steps": steps}} if asked.details else {}
    said = message([event for event in events if isinstance(event, Piece)])
    await reply.json(envelope.whole(said, run.outcome, **more))


async def _stream(run: Run, asked: Asked, envelope: Envelope, reply: Reply, limits: Limits) -> None:
    """Answer with events, each as soon as it happens."""
    async with aclosing(_with_pauses(run, limits.ping_seconds)) as events:
        async for event in events:
            if not reply.streaming:  # not before the run has shown that it works: an error gets a status of its own
                await reply.start_stream()
                await reply.event(envelope.chunk({"role": "assistant", "content": ""}))
            if event is None:
                await reply.ping()
            elif isinstance(event, Piece):
                await reply.event(envelope.chunk(delta(event)))
            elif isinstance(event, KeptStep) and asked.details:
                await reply.event(envelope.chunk({}, rsd={"step": told_step(event)}))
    more = {"rsd": told_outcome(run.outcome)} if asked.details else {}
    await reply.event(envelope.chunk({}, run.outcome.finish_reason, **more))
    if asked.include_usage:
        await reply.event(envelope.usage_chunk(run.outcome.usage))
    await reply.end_stream()


async def _with_pauses(run: Run, seconds: float) -> AsyncGenerator[Event | None, None]:
    """The events of a run, and None wherever so many seconds pass without one."""
    arrived: asyncio.Queue[Event | Exception | None] = asyncio.Queue(READ_AHEAD)
    running = asyncio.create_task(_collect(run, arrived))  # one task for all of it: LangGraph does not expect several
    try:
        while True:
            try:
                async with asyncio.timeout(seconds):
                    event = await arrived.get()
            except TimeoutError:
                yield None
                continue
            if event is None:
                return
            if isinstance(event, Exception):
                raise event
            yield event
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _collect(run: Run, arrived: asyncio.Queue[Event | Exception | None]) -> None:
    """Pass on the events of a run; None says that it has ended, an exception that it has failed."""
    try:
        async with aclosing(run.events()) as events:
            async for event in events:
                await arrived.put(event)
        await arrived.put(None)
    except Exception as error:  # noqa: BLE001  # raised where the events are read
        await arrived.put(error)
