import asyncio
from typing import Any

import pytest
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphDrained, NodeTimeoutError
from langgraph.runtime import RunControl
from langgraph.types import CachePolicy, RetryPolicy, TracePolicy, omit_payload

from rsd_graph import Generation, build_rsd_graph, create_rsd_graph
from rsd_graph.errors import ConfigurationError, ModelUnreachableError
from rsd_graph.testing import ScriptedModel, ScriptedReward
from tests.graph.scripts import KEEP, step, thread


def solvers() -> tuple[ScriptedModel, ScriptedModel, ScriptedReward]:
    draft = ScriptedModel(lambda _, response, __: step("end", "eos") if response.count("##") == 2 else step("on"))
    return draft, ScriptedModel([step("t")]), ScriptedReward([KEEP])


class Slow(ScriptedModel):
    async def generate(self, *args: Any, **options: Any) -> list[Generation]:
        await asyncio.sleep(30)
        return await super().generate(*args, **options)


def test_a_node_may_have_a_time_limit() -> None:
    """LangGraph's own error, which carries the steps so far."""
    graph = create_rsd_graph(Slow([]), ScriptedModel([]), ScriptedReward([]), node_options={"draft": {"timeout": 0.05}})
    with pytest.raises(NodeTimeoutError):
        asyncio.run(graph.ainvoke({"problem": "p"}))


def test_a_node_may_be_retried() -> None:
    class Shaky(ScriptedModel):
        failed = 0

        async def generate(self, *args: Any, **options: Any) -> list[Generation]:
            if not self.failed:
                self.failed = 1
                raise ModelUnreachableError("gone for a moment")
            return await super().generate(*args, **options)

    policy = RetryPolicy(initial_interval=0.001, retry_on=ModelUnreachableError)
    options: Any = {"draft": {"retry_policy": policy}}
    graph = create_rsd_graph(Shaky([step("a", "eos")]), ScriptedModel([]), ScriptedReward([KEEP]), node_options=options)
    assert graph.invoke({"problem": "p"})["response"] == "a"


def test_a_node_may_be_cached() -> None:
    """A node that got the same state before is not run again."""
    draft, target, reward = solvers()
    options: Any = {"draft": {"cache_policy": CachePolicy(key_func=lambda state: str(state["steps"]))}}
    graph = build_rsd_graph(draft, target, reward, node_options=options).compile(cache=InMemoryCache())
    context = {"delimiter": "##"}
    first = graph.invoke({"problem": "p"}, context=context)
    calls = len(draft.calls)
    assert graph.invoke({"problem": "p"}, context=context)["response"] == first["response"]
    assert len(draft.calls) == calls


def test_a_node_may_keep_its_payload_out_of_traces() -> None:
    policy = TracePolicy(process_inputs=omit_payload, process_outputs=omit_payload)
    graph = create_rsd_graph(*solvers(), node_options={"draft": {"trace_policy": policy, "metadata": {"team": "a"}}})
    assert graph.invoke({"problem": "p"}, context={"delimiter": "##"})["response"] == "on##on##end"
    drawn = {node.id: node.metadata for node in graph.get_graph().nodes.values()}
    assert drawn["draft"] == {"description": "The cheap model proposes the next step.", "team": "a"}


def test_options_of_an_unknown_node_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="names drafft; the nodes are draft, score, target, check"):
        create_rsd_graph(*solvers(), node_options={"drafft": {"timeout": 1}})


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_run_that_is_drained_keeps_its_steps_and_resumes(asynchronous: bool) -> None:
    """Between two nodes, as a server does that is about to stop."""
    control = RunControl()
    draft, target, _ = solvers()

    class Draining(ScriptedReward):
        async def score(self, *args: Any) -> Any:
            if args[1]:
                control.request_drain("the server stops")
            return await super().score(*args)

    graph = create_rsd_graph(draft, target, Draining([KEEP]), checkpointer=InMemorySaver())
    given: Any = {"problem": "p"}
    options: Any = {"context": {"delimiter": "##"}, "control": control}
    with pytest.raises(GraphDrained, match="the server stops"):
        asyncio.run(graph.ainvoke(given, thread(), **options)) if asynchronous else graph.invoke(
            given, thread(), **options
        )
    assert graph.get_state(thread()).values["response"] == "on"
    assert graph.invoke(None, thread())["response"] == "on##on##end"
