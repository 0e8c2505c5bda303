"""How the graph runs inside LangGraph: settings from the context, sync as well as async, no recursion limit."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import get_runtime

from rsd_graph._internal import background
from rsd_graph.errors import RSDError
from rsd_graph.settings import MAX_STEPS_LIMIT, RSDSettings
from rsd_graph.state import RSDInput, RSDOutput, RSDState

RECURSION_LIMIT = 4 * MAX_STEPS_LIMIT + 10
"""More supersteps than any run can take: four nodes per step."""

Update = dict[str, Any]


class Node(Runnable[RSDState, Update]):
    """Wraps an async function of state and settings so that LangGraph can call it from `ainvoke` and from `invoke`.

    `RunnableLambda` would work too, but it inspects signatures and opens a trace at every call, which costs more than
    the rest of the node. LangGraph traces each node anyway.
    """

    def __init__(self, function: Callable[[RSDState, RSDSettings], Awaitable[Update]], defaults: RSDSettings) -> None:
        self.name = function.__name__
        self._function = function
        self._defaults = defaults

    async def ainvoke(
        self,
        input: RSDState,  # noqa: A002  # LangChain's name
        config: RunnableConfig | None = None,  # noqa: ARG002
        **_: Any,
    ) -> Update:
        """Call the function. An `RSDError` that it raises carries the steps kept so far."""
        settings = _settings(input, self._defaults)
        try:
            update = await self._function(input, settings)
        except RSDError as error:
            error.steps = () if "problem" in input else input.get("steps", ())  # else an earlier run's, same thread
            raise
        return update if input.get("settings") == settings else {**update, "settings": settings}

    def invoke(
        self,
        input: RSDState,  # noqa: A002  # LangChain's name
        config: RunnableConfig | None = None,
        **_: Any,
    ) -> Update:
        """Do the same as `ainvoke`, on the background loop."""
        return background.run(self.ainvoke(input, config))


class Router(Runnable[RSDState, str]):
    """A function of the state that names the next node. LangGraph would send a plain one through a thread."""

    def __init__(self, function: Callable[[RSDState], str]) -> None:
        self.name = function.__name__
        self._function = function

    def invoke(
        self,
        input: RSDState,  # noqa: A002  # LangChain's name
        config: RunnableConfig | None = None,  # noqa: ARG002
        **_: Any,
    ) -> str:
        """Call the function."""
        return self._function(input)

    async def ainvoke(
        self,
        input: RSDState,  # noqa: A002  # LangChain's name
        config: RunnableConfig | None = None,  # noqa: ARG002
        **_: Any,
    ) -> str:
        """Call the function."""
        return self._function(input)


def _settings(state: RSDState, defaults: RSDSettings) -> RSDSettings:
    """The settings in this call's context; else those that the run has; else the graph's own.

    A subgraph sees its parent's context, which LangGraph does not convert: a dict of settings is used, anything else
    belongs to the parent and is ignored. A run that is resumed without a context keeps its settings, provided that its
    first draft was written.
    """
    context: object = get_runtime().context
    if isinstance(context, RSDSettings):
        return context
    if isinstance(context, Mapping) and context and context.keys() <= RSDSettings.model_fields.keys():
        return RSDSettings.model_validate(context)
    return defaults if "problem" in state else state.get("settings", defaults)


class RSDGraph(CompiledStateGraph[RSDState, Any, RSDInput, RSDOutput]):
    """A compiled graph that ends by its own limits, never by `recursion_limit`.

    A caller's `recursion_limit` is not meant for this graph: LangGraph sets it to 25 in `batch`, inside tools and in
    LCEL pipes, and a parent passes its own. `max_steps` bounds the run instead. Every way to run a graph calls one of
    these two methods.
    """

    def stream(
        self,
        input: Any,  # noqa: A002  # LangGraph's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        """See LangGraph."""
        return super().stream(input, _unlimited(config), **kwargs)

    async def astream(
        self,
        input: Any,  # noqa: A002  # LangGraph's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        """See LangGraph."""
        async for chunk in super().astream(input, _unlimited(config), **kwargs):
            yield chunk


def _unlimited(config: RunnableConfig | None) -> RunnableConfig:
    return {**(config or {}), "recursion_limit": RECURSION_LIMIT}


class RSDStateGraph(StateGraph[RSDState, Any, RSDInput, RSDOutput]):
    """A builder that compiles to an `RSDGraph`."""

    def compile(self, *args: Any, **kwargs: Any) -> RSDGraph:
        """See LangGraph."""
        compiled = super().compile(*args, **kwargs)
        compiled.__class__ = RSDGraph  # LangGraph names the class it builds; the subclass adds behaviour and no data
        return compiled  # type: ignore[return-value]
