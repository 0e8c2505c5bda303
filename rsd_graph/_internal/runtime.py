"""How the graph runs inside LangGraph: its input, settings and edits, sync as well as async, no recursion limit."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config
from langchain_core.runnables.graph import Graph
from langgraph.constants import START
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, Send, StateUpdate
from pydantic import BaseModel, ValidationError

from rsd_graph._internal import background
from rsd_graph._internal.restore import edited, restored
from rsd_graph.decision import told
from rsd_graph.errors import ConfigurationError, InvalidProblemError, describe
from rsd_graph.forms import RSDForm, StudioForm
from rsd_graph.next_step import conversation
from rsd_graph.question import KEYS, TAKEN, read_input
from rsd_graph.review import may_pause
from rsd_graph.run_scope import NOTHING, Moment, RunScope, at
from rsd_graph.settings import MAX_STEPS_LIMIT, RSDSettings, with_fields
from rsd_graph.state import RSDInput, RSDMessages, RSDOutput, RSDState, no_steps

RECURSION_LIMIT = 6 * MAX_STEPS_LIMIT + 10
"""More supersteps than any run can take: six nodes per step, with a review."""

CHOICE = "__rsd_choice"
"""Where a run's configuration holds what its own call chose."""

SCOPE = "__rsd_scope"
"""Where it holds what was started early for its own call."""

OPENED = {"conversation", "steps", "usage", "stop", "proposal", "reward"}
"""What the state of every run holds: without it, there is nothing to resume or to edit."""

PARENT = "__pregel_runtime"
"""Where LangGraph keeps a parent's context for the graphs that its nodes call."""

CHECKPOINTER = "__pregel_checkpointer"
"""Where it keeps the parent's checkpointer."""

Update = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Choice:
    """The settings of one call of the graph."""

    passed: Mapping[str, Any]
    """The fields that the call passed: its context's, or those under `rsd` in its parent's context."""
    defaults: RSDSettings
    """Those that the graph was made with."""

    def over(self, settings: RSDSettings | None) -> RSDSettings:
        """The settings that count: passed fields over those of the run so far, or over the graph's."""
        run = settings or self.defaults
        changed = any(getattr(run, name) != value for name, value in self.passed.items())
        return with_fields(run, self.passed) if changed or settings is None else run


class Node(Runnable[RSDState, Update]):
    """Wraps an async function of state and settings so that LangGraph can call it from `ainvoke` and from `invoke`.

    `RunnableLambda` would work too, but it inspects signatures and opens a trace at every call, which costs more than
    the rest of the node. LangGraph traces each node anyway.

    Args:
        function: The node.
        takes_input: Whether the node reads the input of a run, which is gone from the state when the node has finished.
    """

    def __init__(
        self, function: Callable[[RSDState, RSDSettings], Awaitable[Update]], *, takes_input: bool = False
    ) -> None:
        self.name = function.__name__
        self._function = function
        self._takes_input = takes_input

    async def ainvoke(
        self,
        input: RSDState,  # noqa: A002  # LangChain's name
        config: RunnableConfig | None = None,
        **_: Any,
    ) -> Update:
        """Call the function. Any exception that it raises carries the steps kept so far."""
        state: Any = restored(input)
        settings = _choice(config).over(state.get("settings"))
        taken: Update = {key: None for key in TAKEN if key in state} if self._takes_input else {}
        if not taken and not state.keys() >= OPENED:
            raise InvalidProblemError("there is no run to resume: pass `problem`, a text, or `messages`")
        scope = _scope(config)
        try:
            with at(Moment(state.get("steps", ()), settings, scope)):
                update = await self._function(state, settings)
        except Exception as error:
            with contextlib.suppress(AttributeError, TypeError):  # an exception of a class with slots
                error.steps = () if taken else state["steps"]  # type: ignore[attr-defined]  # else an earlier run's
            raise
        chosen = {} if state.get("settings") == settings else {"settings": settings}
        return {**taken, **_with_spent(scope, update, state), **chosen, **_with_decision(update, state, settings)}

    def invoke(
        self,
        input: RSDState,  # noqa: A002  # LangChain's name
        config: RunnableConfig | None = None,
        **_: Any,
    ) -> Update:
        """Do the same as `ainvoke`, on the background loop."""
        return background.run(self.ainvoke(input, config))


class Router(Runnable[RSDState, str | Send]):
    """A function of the state that names the next node. LangGraph would send a plain one through a thread."""

    def __init__(self, function: Callable[[RSDState], str | Send]) -> None:
        self.name = function.__name__
        self._function = function

    def invoke(
        self,
        input: RSDState,  # noqa: A002  # LangChain's name
        config: RunnableConfig | None = None,  # noqa: ARG002
        **_: Any,
    ) -> str | Send:
        """Call the function."""
        state: Any = restored(input)
        if not state.keys() >= {*OPENED, "settings"}:  # an edit of a thread without a run
            raise InvalidProblemError("there is no run to edit: pass `problem`, a text, or `messages`")
        return self._function(state)

    async def ainvoke(
        self,
        input: RSDState,  # noqa: A002  # LangChain's name
        config: RunnableConfig | None = None,
        **_: Any,
    ) -> str | Send:
        """Call the function."""
        return self.invoke(input, config)


def _choice(config: RunnableConfig | None) -> Choice:
    choice: Choice = (config or {}).get("configurable", {})[CHOICE]
    return choice


def _scope(config: RunnableConfig | None) -> RunScope:
    scope: RunScope = (config or {}).get("configurable", {})[SCOPE]
    return scope


def _with_decision(update: Update, state: Mapping[str, Any], settings: RSDSettings) -> Update:
    """What the node's update makes of the proposal, for those who watch."""
    if not update.keys() & {"proposal", "reward"}:
        return {}
    decision = told(cast("RSDState", {**state, **update}), settings)
    return {} if decision is None else {"decision": decision}


def _with_spent(scope: RunScope, update: Update, state: Mapping[str, Any]) -> Update:
    """The update, with what was spent on work that no step used. A run that stops needs no work ahead."""
    if update.get("stop"):
        scope.end()
    spent = scope.spent()
    if spent is NOTHING or spent == NOTHING:
        return update
    return {**update, "usage": update.get("usage", state.get("usage", NOTHING)) + spent}


class RSDGraph(CompiledStateGraph[RSDState, Any, RSDInput | RSDMessages, RSDOutput]):
    """A compiled graph that checks what it is given, and ends by its own limits, never by `recursion_limit`.

    A caller's `recursion_limit` is not meant for this graph: LangGraph sets it to 25 in `batch`, inside tools and in
    LCEL pipes, and a parent passes its own. `max_steps` bounds the run instead. Every way to run a graph calls `stream`
    or `astream`, and every way to edit its state one of the other two.
    """

    builder: "RSDStateGraph"

    def stream(
        self,
        input: Any,  # noqa: A002  # LangGraph's name
        config: RunnableConfig | None = None,
        *,
        context: Any = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        """See LangGraph."""
        given, called, context = self._call(input, config, context)
        return _closing(super().stream(given, called, context=context, **kwargs), _scope(called))

    async def astream(
        self,
        input: Any,  # noqa: A002  # LangGraph's name
        config: RunnableConfig | None = None,
        *,
        context: Any = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        """See LangGraph."""
        given, called, context = self._call(input, config, context)
        with contextlib.closing(_scope(called)):
            async for chunk in super().astream(given, called, context=context, **kwargs):
                yield chunk

    def get_graph(self, config: RunnableConfig | None = None, *, xray: int | bool = False) -> Graph:
        """See LangGraph. The nodes that run code or ask a person are drawn where the graph is made to use them."""
        return self._drawn(super().get_graph(config, xray=xray))

    async def aget_graph(self, config: RunnableConfig | None = None, *, xray: int | bool = False) -> Graph:
        """As `get_graph`."""
        return self._drawn(await super().aget_graph(config, xray=xray))

    def _drawn(self, drawing: Graph) -> Graph:
        if "tool" in drawing.nodes and not self.builder.runs_code:
            drawing.remove_node(drawing.nodes["tool"])
        if "review" in drawing.nodes and not may_pause(self.builder.defaults):
            drawing.remove_node(drawing.nodes["review"])
            _without_second_score(drawing)
        return drawing

    def get_input_jsonschema(self, config: RunnableConfig | None = None) -> dict[str, Any]:  # noqa: ARG002  # LangGraph's
        """What Studio makes a form of: every kind of message would take 20 kB."""
        return StudioForm.model_json_schema()

    def get_input_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:  # noqa: ARG002  # LangChain's
        """What `as_tool` asks for."""
        return RSDForm

    def bulk_update_state(self, config: RunnableConfig, supersteps: Sequence[Sequence[StateUpdate]]) -> RunnableConfig:
        """See LangGraph."""
        return super().bulk_update_state(config, [[self._edit(edit) for edit in edits] for edits in supersteps])

    async def abulk_update_state(
        self, config: RunnableConfig, supersteps: Sequence[Sequence[StateUpdate]]
    ) -> RunnableConfig:
        """See LangGraph."""
        return await super().abulk_update_state(config, [[self._edit(edit) for edit in edits] for edits in supersteps])

    def _call(
        self, given: Any, config: RunnableConfig | None, context: object
    ) -> tuple[Any, RunnableConfig, RSDSettings | None]:
        """Input, configuration and context as LangGraph gets them; a context that passes nothing is none."""
        configurable = _configurable(config, self.config)
        own = _passed(context)
        choice = Choice({**_parents_fields(configurable), **own}, self.builder.defaults)
        settings = choice.over(None) if given is not None else None
        if settings and may_pause(settings) and not self._is_saved(configurable):
            raise ConfigurationError(
                "`review` and `interrupt_below` pause a run until it is resumed: compile the graph with a checkpointer"
            )
        called: Any = {
            **(config or {}),
            "recursion_limit": RECURSION_LIMIT,
            "configurable": {**configurable, CHOICE: choice, SCOPE: RunScope()},
        }
        return self._opened(given, settings), called, RSDSettings(**own) if own else None

    def _is_saved(self, configurable: Mapping[str, Any]) -> bool:
        """Whether a run can pause: its state is kept, by this graph's checkpointer or by a parent's."""
        return bool(self.checkpointer) or configurable.get(CHECKPOINTER) is not None

    def _opened(self, given: Any, settings: RSDSettings | None) -> Any:
        """The whole state of a new run, for START to write; or, to resume a run, what it is resumed with."""
        if settings is None:
            return None
        if isinstance(given, Command):
            return replace(given, update=edited(given.update)) if isinstance(given.update, Mapping) else given
        question = read_input(given)
        return {
            **no_steps(),
            "proposal": None,
            "reward": None,
            **dict.fromkeys(KEYS),
            **question,
            # a node that wrote messages would show the prompt to those who stream messages
            "conversation": conversation(settings, question["problem"], question["history"]),
            "settings": settings,
        }

    def _edit(self, edit: StateUpdate) -> StateUpdate:
        if not isinstance(edit.values, Mapping):
            return edit
        if edit.as_node in {START, "__input__"}:
            return edit._replace(values=self._opened(edit.values, Choice({}, self.builder.defaults).over(None)))
        return edit._replace(values=edited(edit.values))


def _without_second_score(drawing: Graph) -> None:
    """Draw the target's step as kept: only a review has it scored."""
    drawing.edges = [
        edge._replace(conditional=False) if edge.source == "target" else edge
        for edge in drawing.edges
        if (edge.source, edge.target) != ("target", "score")
    ]


def _closing(chunks: Iterator[Any], scope: RunScope) -> Iterator[Any]:
    with contextlib.closing(scope):
        yield from chunks


def _passed(context: object) -> Mapping[str, Any]:
    """The fields that a call passes: a form that is filled with defaults passes only those that were filled in."""
    if context is None:
        return {}
    if isinstance(context, Mapping):
        context = RSDSettings.model_validate(dict(context))
    if not isinstance(context, RSDSettings):
        raise ConfigurationError(f"the context must be RSDSettings or a dict of its fields, got {context!r:.80}")
    return RSDSettings.model_validate(context.model_dump(exclude_unset=True)).model_dump(exclude_unset=True)


def _parents_fields(configurable: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields under the key `rsd` of a parent graph's context. The rest of it is the parent's own."""
    runtime = configurable.get(PARENT) or ensure_config()["configurable"].get(PARENT)
    context = getattr(runtime, "context", None)
    given = context.get("rsd") if isinstance(context, Mapping) else getattr(context, "rsd", None)
    try:
        return _passed(given)
    except (ValidationError, ConfigurationError) as error:
        told = describe(error) if isinstance(error, ValidationError) else error
        raise ConfigurationError(f"`rsd` in the parent's context: {told}") from error


def _configurable(*configs: RunnableConfig | None) -> Mapping[str, Any]:
    """As LangGraph finds it: the first that is given; else that of the node which makes this call, if one does."""
    given = (config["configurable"] for config in configs if config and "configurable" in config)
    return next(given, None) or ensure_config()["configurable"]


class RSDStateGraph(StateGraph[RSDState, Any, RSDInput | RSDMessages, RSDOutput]):
    """A builder that compiles to an `RSDGraph`."""

    def __init__(self, *args: Any, defaults: RSDSettings | None = None, runs_code: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.defaults = defaults or RSDSettings()
        self.runs_code = runs_code or self.defaults.tools != "off"

    def compile(self, *args: Any, **kwargs: Any) -> RSDGraph:
        """See LangGraph."""
        # START writes these keys. The form of the input, which comes from `RSDInput` itself, does not show them all.
        self.schemas[self.input_schema] = self.schemas[self.state_schema]
        compiled = super().compile(*args, **kwargs)
        compiled.__class__ = RSDGraph  # LangGraph names the class it builds; the subclass adds behaviour and no data
        return compiled  # type: ignore[return-value]
