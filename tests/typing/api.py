"""The public API, used as in a user's code. mypy checks this file; nothing runs it.

Missing on purpose: `rsd_graph.rewards.process_reward` and `rsd_graph.sandbox`.
Each gets its lines here when it is added.
"""

from collections.abc import Sequence
from typing import Any, Literal, assert_type

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from starlette.types import ASGIApp
from typing_extensions import TypedDict

from rsd_graph import (
    Generation,
    RewardModel,
    RSDSettings,
    Score,
    Step,
    StepGenerator,
    TokenUsage,
    Usage,
    build_rsd_graph,
    create_rsd_graph,
)
from rsd_graph.agents import ChatRSD, as_tool
from rsd_graph.answers import extract_answer, same_answer
from rsd_graph.errors import ContextOverflowError, ModelError, RSDError
from rsd_graph.events import RSDEvent
from rsd_graph.gateway import Limits, create_app
from rsd_graph.latency import faster
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp, LlamaCpp
from rsd_graph.models.vllm import VLLM
from rsd_graph.rewards.confidence import ConfidenceReward
from rsd_graph.testing import ScriptedModel, ScriptedReward


class Parrot:
    """A user's own step generator: no base class, only the methods of the protocol."""

    name = "parrot"

    async def generate(
        self, messages: Sequence[BaseMessage], response: str, *, settings: RSDSettings, n: int = 1
    ) -> list[Generation]:
        if len(response) > settings.max_step_tokens:
            raise ContextOverflowError("too long")
        return [Generation(text=str(messages[-1].content), finish="eos")] * n


class Lengths:
    """A user's own reward model, whose name is a property."""

    @property
    def name(self) -> str:
        return "lengths"

    async def score(
        self, messages: Sequence[BaseMessage], steps: Sequence[Step], candidates: Sequence[Generation]
    ) -> list[Score]:
        del messages, steps
        return [Score(reward=1 / (1 + len(each.text)), usage=TokenUsage(prompt=1)) for each in candidates]


class Nameless:
    """Not a step generator: it has no name, and is not async."""

    def generate(
        self, messages: Sequence[BaseMessage], response: str, *, settings: RSDSettings, n: int = 1
    ) -> list[Generation]:
        raise NotImplementedError


class ParentState(TypedDict):
    problem: str
    answer: str | None


def every_model_fits_its_role() -> None:
    """The graph takes the package's models and a user's own alike."""
    drafts: list[StepGenerator] = [
        VLLM("http://127.0.0.1:8000", model="draft"),
        LlamaCpp("http://127.0.0.1:8080"),
        EmbeddedLlamaCpp("draft.gguf"),
        ScriptedModel([Generation("a", "eos")]),
        Parrot(),
    ]
    rewards: list[RewardModel] = [ConfidenceReward(), ScriptedReward([0.5, 1]), Lengths()]
    create_rsd_graph(drafts[0], drafts[1], rewards[0])
    create_rsd_graph(draft=Parrot(), target=Parrot(), reward=Lengths())


def what_does_not_fit_is_an_error() -> None:
    """Mypy reports these lines as unused ignores if they ever pass."""
    create_rsd_graph(Nameless(), Parrot(), Lengths())  # type: ignore[arg-type]
    create_rsd_graph(Parrot(), Parrot(), Parrot())  # type: ignore[arg-type]
    create_rsd_graph(Parrot(), Parrot(), Lengths(), RSDSettings())  # type: ignore[call-arg]
    Generation(text="a", finish="stop")  # type: ignore[arg-type]
    Step(text="a", author="me")  # type: ignore[arg-type]
    Score(reward=0.5).reward = 1.0  # type: ignore[misc]
    RSDSettings(treshold=0.5)  # type: ignore[call-arg]
    RSDSettings(weighting="binary")  # type: ignore[arg-type]


async def run_a_graph() -> None:
    """Both forms of every call; the output is a mapping, as LangGraph types it."""
    graph = create_rsd_graph(draft=Parrot(), target=Parrot(), reward=Lengths(), settings=RSDSettings(max_steps=5))
    out = await graph.ainvoke({"problem": "What is 2+2?"}, context={"threshold": 0.7, "max_steps": 30})
    out = graph.invoke({"problem": "What is 2+2?"}, context=RSDSettings(threshold=0.7, weighting="logistic"))
    graph.batch([{"problem": "a"}, {"problem": "b", "history": [HumanMessage("hello"), AIMessage("hi")]}])
    out = graph.invoke({"messages": [HumanMessage("What is 2+2?")]})
    response: str = out["response"]
    answer: str | None = out["answer"]
    steps: list[Step] = out["steps"]
    usage: Usage = out["usage"]
    messages: list[AnyMessage] = out["messages"]
    assert_type(messages[-1].id, str | None)
    assert_type(steps[0].text, str)
    assert_type(steps[0].author, Literal["draft", "target", "tool"])
    assert_type(steps[0].reward, float | None)
    assert_type(usage.draft.prompt + usage.target.cached + usage.reward.completion, int)
    assert_type(extract_answer(response), str | None)
    assert_type(same_answer(answer, "4", timeout=5), bool)


def embed_a_graph() -> None:
    """As a tool and as a chat model."""
    graph = create_rsd_graph(Parrot(), Parrot(), Lengths())
    assert_type(as_tool(graph, name="solve", description="Solves.", settings={"max_steps": 3}), StructuredTool)
    chat = ChatRSD(graph=graph, settings=RSDSettings(max_steps=3), stop=["."], temperature=0.5)
    assert_type(chat.invoke("What is 2+2?", threshold=0.5), AIMessage)


async def stream_events() -> None:
    """Each event's name decides which keys it has."""
    graph = create_rsd_graph(Parrot(), Parrot(), Lengths())
    event: Any
    async for event in graph.astream({"problem": "p"}, stream_mode="custom"):
        show(event)


def show(event: RSDEvent) -> None:
    """A `match` over the events narrows their type, and covers all of them."""
    if event["event"] == "scored":
        assert_type(event["reward"], float | None)
        assert_type(event["accepted"], bool)
    elif event["event"] == "kept":
        assert_type(event["author"], Literal["draft", "target", "tool"])
    elif event["event"] == "finished":
        assert_type(event["answer"], str | None)
    else:
        assert_type(event["event"], Literal["proposed", "replaced"])
        assert_type(event["tokens"], int)


def embed_in_a_parent() -> None:
    """The compiled graph is a node; the uncompiled one takes the caller's checkpointer."""
    child = build_rsd_graph(Parrot(), Parrot(), Lengths()).compile(checkpointer=InMemorySaver(), name="solver")
    parent = StateGraph(ParentState)
    parent.add_node("solver", child)
    parent.add_edge(START, "solver")
    parent.add_edge("solver", END)
    whole: CompiledStateGraph[Any, Any, Any, Any] = parent.compile()
    whole.invoke({"problem": "p", "answer": None})


def serve_to_openai_clients() -> None:
    """The graph is an ASGI application, to serve or to mount."""
    graph = create_rsd_graph(Parrot(), Parrot(), Lengths())
    application: ASGIApp = create_app(graph, name="rsd", api_key="k", limits=Limits(runs=64, seconds=60))
    create_app(graph).mount("/nested", application)


def make_runs_shorter() -> None:
    """Models of one's own are wrapped, and go where they went before."""
    wrapped = faster(Parrot(), Parrot(), Lengths(), ahead=True, warm=True, gate=0.99, hedge=0.3)
    assert_type(wrapped, tuple[StepGenerator, StepGenerator, RewardModel])
    create_rsd_graph(*wrapped)


def catch_errors() -> Sequence[Step]:
    """Every error has the steps kept so far."""
    try:
        create_rsd_graph(Parrot(), Parrot(), Lengths()).invoke({"problem": "p"})
    except ModelError as error:
        return error.steps
    except RSDError as error:
        return error.steps
    return ()
