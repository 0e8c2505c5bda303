"""The state machine.

START -> draft -> score -(reward)-> check | target;  target -> check;  check -> draft | tool | END;  tool -> check

Where a person may review steps: target -> score;  score -> review;  review -> check, or draft | target once more
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

from langchain_core.tools import BaseTool
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import CachePolicy, Checkpointer, RetryPolicy, Send, TimeoutPolicy, TracePolicy
from typing_extensions import TypedDict

from rsd_graph._internal.runtime import Node, Router, RSDStateGraph
from rsd_graph.decision import is_kept
from rsd_graph.errors import ConfigurationError
from rsd_graph.nodes import check_node, draft_node, review, score_node, target_node, tool_node
from rsd_graph.nodes.tool import Runner
from rsd_graph.protocols import RewardModel, StepGenerator
from rsd_graph.review import is_scored_again, reason
from rsd_graph.sandbox import Sandbox
from rsd_graph.settings import RSDSettings, with_fields
from rsd_graph.state import RSDInput, RSDMessages, RSDOutput, RSDState, RSDWatched
from rsd_graph.tools.formats import chooser
from rsd_graph.tools.functions import ASKED, Calls, Functions


class NodeOptions(TypedDict, total=False):
    """What LangGraph's `add_node` takes for a node, beside the node itself; see there."""

    timeout: "float | timedelta | TimeoutPolicy"
    """Seconds that the node may take. It holds for a whole node: `timeout` of a model holds for its requests."""
    retry_policy: RetryPolicy | Sequence[RetryPolicy]
    """Beside the retries of requests that the clients of model servers do themselves."""
    cache_policy: "CachePolicy[Any]"
    """Needs a graph that is compiled with `cache=`."""
    trace_policy: TracePolicy
    metadata: dict[str, Any]


DESCRIPTIONS = {
    "draft": "The cheap model proposes the next step.",
    "score": "The process reward model scores the proposal; the edge after it compares the reward with the threshold.",
    "target": "The expensive model rewrites a step that was not accepted.",
    "check": "Keeps the step, and ends the run at an answer or at a limit.",
    "tool": "Runs the code that a kept step asks to run; its output follows as a step.",
    "review": "Pauses the run: a person accepts, replaces, edits or redraws the step, or ends the run.",
}
"""What each node does, as drawings and Studio show it."""


def accept_or_rewrite(state: RSDState) -> Literal["check", "target", "review"]:
    """The edge after the reward: keep the draft's step, or have the target write it."""
    if state["stop"] or state["author"] == "target" or is_kept(state, state["settings"]):
        return "review" if reason(state, state["settings"]) else "check"
    return "target"  # a blank proposal too: it is not scored, and not kept


def keep_or_score(state: RSDState) -> Literal["check", "score", "review"]:
    """The edge after the target: keep its step, unless a person may review it."""
    if is_scored_again(state, state["settings"]):
        return "score"
    return "review" if reason(state, state["settings"]) else "check"


def keep_or_redraw(state: RSDState) -> Literal["check", "draft", "target"]:
    """The edge after a review: keep what was chosen, or have its author write it again."""
    if state["stop"] or state.get("chosen"):
        return "check"
    return "target" if state["author"] == "target" else "draft"


def go_on_or_end(state: RSDState) -> Literal["draft", "tool", "__end__"] | Send:
    """Write the next step, unless the run has a reason to stop, or code waits to be run.

    A proposal that `check` has left is no longer accepted: the run was forked after `score`, with another threshold.
    """
    if state["proposal"]:
        return Send("target", state)
    if state["stop"]:
        return "__end__"
    return "tool" if state.get("code") is not None else "draft"


def build_rsd_graph(
    draft: StepGenerator,
    target: StepGenerator,
    reward: RewardModel,
    *,
    settings: RSDSettings | None = None,
    node_options: Mapping[str, NodeOptions] | None = None,
    sandbox: Sandbox | None = None,
    tools: Sequence[BaseTool | Callable[..., Any]] = (),
) -> StateGraph[RSDState, Any, RSDInput | RSDMessages, RSDOutput]:
    """The RSD state machine, uncompiled: choose checkpointer, store and interrupts yourself.

    Args:
        draft: The cheap model; it proposes every step.
        target: The expensive model; it rewrites the steps that are not accepted.
        reward: Scores the proposals.
        settings: Where a new run takes the fields from that its call's `context` does not pass; by default, the
            defaults of `RSDSettings`. Use this to configure a subgraph: a parent's context is its own, except for what
            it holds under the key `rsd`.
        sandbox: Where code is run if the setting `tools` says so; by default behind this machine's own walls.
        tools: LangChain tools, or functions, that a kept step may call. The graph's own settings then say so: `tools`
            is `functions`, and the system prompt ends with their signatures.
        node_options: What LangGraph's `add_node` takes further, by the node's name: `{"target": {"timeout": 60}}`.

    Raises:
        ConfigurationError: `node_options` names no node of this graph, two tools have the same name, or one can be no
            tool.
    """
    functions = Functions(tools)
    graph = RSDStateGraph(
        RSDState,
        RSDSettings,
        input_schema=RSDInput,
        output_schema=RSDWatched,
        defaults=_with_functions(settings or RSDSettings(), functions) if functions else settings,
        runs_code=sandbox is not None,
    )
    given: dict[str, dict[str, Any]] = {name: {**options} for name, options in (node_options or {}).items()}
    choose, runner = chooser(target, draft, calls=Calls() if functions else None), Runner(sandbox, functions)
    nodes = {
        "draft": Node(draft_node(draft, reward, choose), takes_input=True),
        "score": Node(score_node(reward, choose, runner)),
        "target": Node(target_node(target, choose, reward)),
        "check": Node(check_node({"draft": draft, "target": target, "reward": reward}, choose)),
        "tool": Node(tool_node(choose, runner)),
        "review": Node(review),
    }
    for name, node in nodes.items():
        options: dict[str, Any] = given.pop(name, {})
        metadata = {"description": DESCRIPTIONS[name], **options.pop("metadata", {})}
        graph.add_node(name, node, metadata=metadata, **options)
    if given:
        raise ConfigurationError(f"`node_options` names {', '.join(given)}; the nodes are {', '.join(nodes)}")
    graph.add_edge(START, "draft")
    graph.add_edge("draft", "score")
    graph.add_conditional_edges("score", Router(accept_or_rewrite), ["check", "target", "review"])
    graph.add_conditional_edges("target", Router(keep_or_score), ["check", "score", "review"])
    graph.add_conditional_edges("review", Router(keep_or_redraw), ["check", "draft", "target"])
    graph.add_conditional_edges("check", Router(go_on_or_end), ["draft", "tool", END])
    graph.add_edge("tool", "check")
    return graph


def _with_functions(settings: RSDSettings, functions: Functions) -> RSDSettings:
    own = settings.system_prompt
    asked = ASKED if own == RSDSettings.model_fields["system_prompt"].default else own
    prompt = "\n\n".join(filter(None, (asked, functions.prompt())))
    return with_fields(settings, {"tools": "functions", "system_prompt": prompt})


def create_rsd_graph(
    draft: StepGenerator,
    target: StepGenerator,
    reward: RewardModel,
    *,
    settings: RSDSettings | None = None,
    node_options: Mapping[str, NodeOptions] | None = None,
    sandbox: Sandbox | None = None,
    tools: Sequence[BaseTool | Callable[..., Any]] = (),
    checkpointer: Checkpointer = None,
    name: str = "rsd",
) -> CompiledStateGraph[RSDState, Any, RSDInput | RSDMessages, RSDOutput]:
    """The RSD state machine, compiled: ready to `invoke`, `stream` or embed, or to `ainvoke`, `astream` and so on.

    Args:
        draft: As in `build_rsd_graph`.
        target: As in `build_rsd_graph`.
        reward: As in `build_rsd_graph`.
        settings: As in `build_rsd_graph`.
        node_options: As in `build_rsd_graph`.
        sandbox: As in `build_rsd_graph`.
        tools: As in `build_rsd_graph`.
        checkpointer: Where LangGraph saves the state after each node, so that a run can be resumed, forked or replayed;
            none by default.
        name: The graph's name in traces, in Studio and in a parent graph.
    """
    graph = build_rsd_graph(
        draft, target, reward, settings=settings, node_options=node_options, sandbox=sandbox, tools=tools
    )
    return graph.compile(checkpointer=checkpointer, name=name)
