"""Runs of the graph for the page: begun, paused, answered, stopped, resumed and forked."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import aiosqlite
from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, StateSnapshot

from rsd_graph.checkpoints import is_undecided
from rsd_graph.costs import Flops, Parameters, flops
from rsd_graph.errors import ConfigurationError, InvalidStateError, RSDError
from rsd_graph.state import TokenUsage, Usage
from rsd_graph.ui.runs import Runs
from rsd_graph.ui.story import Event, Story, told

Graph = CompiledStateGraph[Any, Any, Any, Any]


@dataclass(slots=True)
class Live:
    """A run that pages look at. Any number of them may."""

    id: str
    story: Story
    events: int
    """How many there are."""
    node: str | None = None
    """The node that works now."""
    words: str = ""
    """What the target has written of the step that it writes."""
    version: int = 0
    """Rises with every change: a page that has drawn this one need not draw again."""
    task: "asyncio.Task[None] | None" = field(default=None, repr=False)

    @property
    def is_running(self) -> bool:
        """Whether the graph works on it now."""
        return self.task is not None and not self.task.done()


class Runner:
    """All runs of the page.

    Args:
        graph: With a checkpointer that knows the threads of earlier runs.
        runs: Where events are kept.
        parameters: The models' sizes, for the FLOPs; None if they are not known.
    """

    def __init__(self, graph: Graph, runs: Runs, parameters: Parameters | None = None) -> None:
        self.graph = graph
        self.runs = runs
        self._parameters = parameters
        self._lives: dict[str, Live] = {}

    @cached_property
    def edges(self) -> list[tuple[str, str]]:
        """Of the graph, as it is drawn."""
        return [(edge.source, edge.target) for edge in self.graph.get_graph().edges]

    async def start(self, problem: str, settings: Mapping[str, Any]) -> str:
        """Begin a run, and return its id. Its settings are those of the graph but for these fields."""
        event: Event = {"event": "problem", "problem": problem, "settings": {**self._defaults(), **settings}}
        live = await self._new(problem, [event], None)
        self._go(live, {"problem": problem}, settings)
        return live.id

    async def open(self, run: str) -> Live | None:
        """The run of this id, from the database unless it is open; None if there is none."""
        if run not in self._lives:
            events = await self.runs.events(run)
            if not events:
                return None
            story = told(events)
            story.ended = True
            self._lives[run] = Live(run, story, len(events))
        return self._lives[run]

    async def add_file(self, events: list[Event]) -> str:
        """Keep a run that was made elsewhere. It can be looked at, but has no checkpoints to go on from."""
        live = await self._new(told(events).problem, events, "file")
        live.story.ended = True
        await self.runs.mark(live.id, live.story.status)
        return live.id

    async def answer(self, run: str, answer: Mapping[str, Any]) -> None:
        """Answer the review that the run waits with; another tab may have been faster."""
        live = await self.open(run)
        if live and live.story.review and not live.is_running:
            await self._tell(live, {"event": "answered", "answer": dict(answer)})
            self._go(live, Command(resume=dict(answer)), {})

    async def resume(self, run: str) -> None:
        """Go on after an error or an interruption."""
        live = await self.open(run)
        if live and not live.is_running and not live.story.stop:
            self._go(live, None, {})

    def stop(self, run: str) -> None:
        """Cancel the run, and its requests. It can be resumed."""
        live = self._lives.get(run)
        if live and live.task and live.is_running:
            live.task.cancel()

    async def fork(self, run: str, step: int, threshold: float) -> str:
        """A new run that is the same up to the reward of this step, and decides from there with another threshold.

        Raises:
            ConfigurationError: the run has no checkpoint there.
        """
        snapshot = await self._scored(run, step)
        if snapshot is None:
            raise ConfigurationError(f"step {step + 1} cannot be forked: no checkpoint holds its draft with a reward")
        before = _until_scored(await self.runs.events(run), step)
        story = told(before)
        problem, settings = story.problem, {**story.settings, "threshold": threshold}
        live = await self._new(
            problem, [{"event": "problem", "problem": problem, "settings": settings}, *before[1:]], run
        )
        values = {**snapshot.values, "stop": None, "answer": None}
        try:
            await self.graph.aupdate_state(_thread(live.id), values, as_node="score")
        except InvalidStateError as error:
            raise ConfigurationError(f"step {step + 1} cannot be forked: {error}") from error
        self._go(live, None, {"threshold": threshold})
        return live.id

    async def remove(self, run: str) -> None:
        """Stop the run and forget it, its checkpoints too."""
        self.stop(run)
        self._lives.pop(run, None)
        await self.runs.remove(run)
        checkpointer: Any = self.graph.checkpointer
        await checkpointer.adelete_thread(run)

    def cost(self, story: Story) -> Flops | None:
        """The FLOPs of the run so far; None if the models' sizes or the tokens are not known."""
        if not self._parameters or not story.usage:
            return None
        roles: Any = {role: TokenUsage(**story.usage[role]) for role in ("draft", "target", "reward")}
        return flops(Usage(**{**story.usage, **roles}), self._parameters)

    async def close(self) -> None:
        """Stop every run, and wait until its end is kept."""
        tasks = [live.task for live in self._lives.values() if live.task and live.is_running]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _defaults(self) -> dict[str, Any]:
        builder: Any = self.graph.builder
        return {"threshold": builder.defaults.threshold}

    async def _new(self, problem: str, events: list[Event], origin: str | None) -> Live:
        run = await self.runs.add(problem, events, origin)
        live = self._lives[run] = Live(run, told(events), len(events))
        return live

    def _go(self, live: Live, given: Any, settings: Mapping[str, Any]) -> None:
        live.task = asyncio.create_task(self._run(live, given, dict(settings)))

    async def _run(self, live: Live, given: Any, settings: dict[str, Any]) -> None:
        await self._tell(live, {"event": "started"})
        try:
            output = await self._follow(live, given, settings)
            paused = output.get("__interrupt__")
            if paused and isinstance(paused[0].value, Mapping):
                await self._tell(live, {"event": "review", **paused[0].value})
            else:
                usage, steps = asdict(output["usage"]), [asdict(step) for step in output["steps"]]
                end = {"stop": output["stop"], "answer": output["answer"], "usage": usage, "steps": steps}
                await self._tell(live, {"event": "result", **end})
        except asyncio.CancelledError:
            await self._tell(live, {"event": "interrupted"})
        except RSDError as error:
            await self._tell(live, {"event": "error", "message": str(error)})
        except Exception as error:  # noqa: BLE001  # the page shows it: nobody else would
            await self._tell(live, {"event": "error", "message": f"{type(error).__name__}: {error}"})
        finally:
            live.node, live.words = None, ""
            live.version += 1

    async def _follow(self, live: Live, given: Any, settings: dict[str, Any]) -> dict[str, Any]:
        output: dict[str, Any] = {}
        modes: Any = ["custom", "tasks", "messages", "values"]
        mode: str
        chunk: Any
        async for mode, chunk in self.graph.astream(given, _thread(live.id), context=settings, stream_mode=modes):
            match mode:
                case "custom":
                    live.words = "" if chunk["event"] == "kept" else live.words
                    await self._tell(live, chunk)
                    if chunk["event"] == "kept" and output.get("usage"):
                        await self._tell(live, {"event": "usage", "usage": asdict(output["usage"])})
                case "tasks" if "input" in chunk:
                    live.node = chunk["name"]
                case "messages" if live.story.draft and live.node == "target":
                    live.words += chunk[0].text
                case "values":
                    output = chunk
            live.version += 1
        return output

    async def _tell(self, live: Live, event: Event) -> None:
        live.story.tell(event)
        live.version += 1
        number, live.events = live.events, live.events + 1
        try:
            await self.runs.append(live.id, number, event, live.story.status)
        except aiosqlite.Error as error:
            live.story.error = f"this run cannot be kept: {error}"

    async def _scored(self, run: str, step: int) -> StateSnapshot | None:
        """The newest checkpoint at which the draft's proposal for this step has its reward and nothing is decided."""
        async for snapshot in self.graph.aget_state_history(_thread(run)):
            if is_undecided(snapshot) and len(snapshot.values["steps"]) == step:
                return snapshot
        return None


def _thread(run: str) -> RunnableConfig:
    return {"configurable": {"thread_id": run}}


def _until_scored(events: list[Event], step: int) -> list[Event]:
    """The events up to the newest reward of this step's draft."""
    found = [at for at, event in enumerate(events) if event.get("event") == "scored" and event.get("step") == step]
    return events[: found[-1] + 1] if found else events[:1]
