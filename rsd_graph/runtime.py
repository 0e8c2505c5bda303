"""How the graph runs inside LangGraph: settings from the context, sync beside async, and no recursion limit."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, TypeVar

from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import get_runtime

from rsd_graph import background
from rsd_graph.errors import RSDError
from rsd_graph.settings import MAX_STEPS_LIMIT, RSDSettings
from rsd_graph.state import RSDInput, RSDOutput, RSDState

RECURSION_LIMIT = 4 * MAX_STEPS_LIMIT + 10
"""More supersteps than any run can take: four nodes a step."""

Destination = TypeVar("Destination", bound=str)


def as_node(
    function: Callable[[RSDState, RSDSettings], Awaitable[dict[str, Any]]], defaults: RSDSettings
) -> RunnableLambda[RSDState, dict[str, Any]]:
    """Make an async node work under `invoke` too, and let its errors carry the steps kept so far."""

    async def run_async(state: RSDState) -> dict[str, Any]:
        try:
            return await function(state, _settings(state, defaults))
        except RSDError as error:
            error.steps = state.get("steps", ())
            raise

    def run(state: RSDState) -> dict[str, Any]:
        return background.run(run_async(state))

    return RunnableLambda(run, run_async)


def as_router(
    function: Callable[[RSDState, RSDSettings], Destination], defaults: RSDSettings
) -> RunnableLambda[RSDState, Destination]:
    """Make a router that LangGraph does not send through a thread: it only looks at the state."""

    def route(state: RSDState) -> Destination:
        return function(state, _settings(state, defaults))

    async def route_async(state: RSDState) -> Destination:
        return route(state)

    return RunnableLambda(route, route_async, name=function.__name__)


def _settings(state: RSDState, defaults: RSDSettings) -> RSDSettings:
    """The settings of this call's context; else those the run was opened with; else the graph's own.

    A subgraph sees its parent's context, which LangGraph does not convert: a dict of settings counts, anything else is
    the parent's own affair. A run that is resumed without a context, or whose edge `update_state` asks, has none.
    """
    runtime = get_runtime()
    context: object = runtime.context if runtime else None  # None outside a run, whatever LangGraph's annotation says
    if isinstance(context, RSDSettings):
        return context
    if isinstance(context, Mapping) and context and context.keys() <= RSDSettings.model_fields.keys():
        return RSDSettings.model_validate(context)
    return defaults if "problem" in state else state.get("settings", defaults)


class RSDGraph(CompiledStateGraph[RSDState, Any, RSDInput, RSDOutput]):
    """A compiled graph that ends by its own limits, never by `recursion_limit`.

    A caller's `recursion_limit` says nothing about this graph: LangGraph passes 25 by itself in `batch`, inside tools
    and in LCEL pipes, and a parent passes its own. `max_steps` bounds the run instead. Every way to run a graph ends in
    one of these two methods.
    """

    def stream(
        self,
        input: Any,  # noqa: A002  # LangGraph's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        """As LangGraph's."""
        return super().stream(input, _unlimited(config), **kwargs)

    async def astream(
        self,
        input: Any,  # noqa: A002  # LangGraph's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        """As LangGraph's."""
        async for chunk in super().astream(input, _unlimited(config), **kwargs):
            yield chunk


def _unlimited(config: RunnableConfig | None) -> RunnableConfig:
    return {**(config or {}), "recursion_limit": RECURSION_LIMIT}


class RSDStateGraph(StateGraph[RSDState, Any, RSDInput, RSDOutput]):
    """A builder whose `compile` makes an `RSDGraph`."""

    def compile(self, *args: Any, **kwargs: Any) -> RSDGraph:
        """As LangGraph's."""
        compiled = super().compile(*args, **kwargs)
        compiled.__class__ = RSDGraph  # LangGraph names the class it builds; the subclass adds behaviour and no data
        return compiled  # type: ignore[return-value]
