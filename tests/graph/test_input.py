import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, RemoveMessage, SystemMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from pydantic import BaseModel

from rsd_graph import Generation, RSDSettings, Score, TokenUsage, build_rsd_graph, create_rsd_graph
from rsd_graph.errors import InvalidProblemError, ModelError, ModelUnreachableError, RewardError
from rsd_graph.models.llamacpp import LlamaCpp
from rsd_graph.testing import ScriptedModel, ScriptedReward
from tests.graph.scripts import KEEP, step, thread

NOTHING: list[Any] = [{}, {"question": "p"}, {"history": [HumanMessage("hello")]}, {"messages": []}, {"problem": None}]


def echo(**options: Any) -> tuple[Any, ScriptedModel]:
    """A graph that answers with the problem, and its draft."""
    model = ScriptedModel(lambda messages, *_: step(str(messages[-1].text), "eos"))
    return create_rsd_graph(model, model, ScriptedReward([KEEP]), **options), model


@pytest.mark.parametrize("given", [*NOTHING, "p", [], 5, {"problem": "p", "history": "hello"}])
@pytest.mark.parametrize("state", ["fresh", "finished", "failed"])
def test_an_input_without_a_problem_changes_nothing(given: Any, state: str) -> None:
    """On a thread without a run, with a finished one and with a failed one: no model is asked and no step appended."""
    model = ScriptedModel([step("a"), step("b", "eos") if state == "finished" else ModelUnreachableError("gone")])
    graph = create_rsd_graph(model, model, ScriptedReward([KEEP]), checkpointer=InMemorySaver())
    if state == "finished":
        graph.invoke({"problem": "p"}, thread())
    elif state == "failed":
        with pytest.raises(ModelUnreachableError):
            graph.invoke({"problem": "p"}, thread())
    before, asked = graph.get_state(thread()), len(model.calls)
    calls: list[Callable[[], Any]] = [
        lambda: graph.invoke(given, thread()),
        lambda: list(graph.stream(given, thread(), stream_mode="custom")),
        lambda: asyncio.run(graph.ainvoke(given, thread())),
        lambda: graph.batch([given], [thread()]),
    ]
    for call in calls:
        with pytest.raises(InvalidProblemError):
            call()
    assert (graph.get_state(thread()), len(model.calls)) == (before, asked)


def test_a_batch_may_return_its_wrong_inputs_as_errors() -> None:
    """The others are answered."""
    graph, _ = echo()
    out: Any = graph.batch([{"problem": "a"}, {}, {"problem": "b"}], return_exceptions=True)
    assert (out[0]["response"], type(out[1]), out[2]["response"]) == ("a", InvalidProblemError, "b")


def test_messages_are_an_input() -> None:
    """The last human message is the problem; the models see the system prompt, the history and the problem."""
    graph, model = echo()
    messages = [SystemMessage("Be brief."), HumanMessage("hello"), AIMessage("hi"), HumanMessage("p")]
    assert graph.invoke({"messages": messages}, context={"system_prompt": "Think."})["response"] == "p"
    assert model.calls[0][0] == [SystemMessage("Think.\n\nBe brief."), *messages[1:]]


def test_the_graph_is_a_node_of_a_conversation() -> None:
    """Of any `MessagesState` parent as it stands, turn after turn; messages as dicts will do."""
    graph, model = echo()
    parent: Any = StateGraph(MessagesState)
    parent.add_node("solver", graph)
    parent.add_edge(START, "solver")
    parent.add_edge("solver", END)
    compiled = parent.compile(checkpointer=InMemorySaver())
    compiled.invoke({"messages": [{"role": "user", "content": "one"}]}, thread())
    out = compiled.invoke({"messages": [("user", "two")]}, thread())
    assert [message.text for message in out["messages"]] == ["one", "one", "two", "two"]
    assert [message.text for message in model.calls[1][0][1:]] == ["one", "one", "two"]


@pytest.mark.parametrize("kind", ["pydantic", "typed dict with its own keys"])
def test_a_parents_state_may_hold_more(kind: str) -> None:
    """A state class instance, an empty list of messages, and keys that the graph does not know."""

    class Model(BaseModel):
        problem: str
        response: str = ""
        user: str = "ada"

    class Both(MessagesState):
        problem: str
        response: str

    graph, _ = echo()
    parent: Any = StateGraph(Model if kind == "pydantic" else Both)
    parent.add_node("solver", graph)
    parent.add_edge(START, "solver")
    parent.add_edge("solver", END)
    assert parent.compile().invoke({"problem": "p"})["response"] == "p"


@pytest.mark.filterwarnings("ignore:This API is in beta")
def test_as_a_tool_only_the_problem_is_required() -> None:
    """LangChain's own `as_tool`: a model that calls it need not make up a history."""
    graph, model = echo()
    tool = graph.as_tool(name="solve", description="Solve a problem.")
    assert tool.args_schema.model_json_schema()["required"] == ["problem"]
    assert len(str(tool.args)) < 500
    assert tool.invoke({"problem": "p"})["response"] == "p"
    assert asyncio.run(tool.ainvoke({"problem": "p", "history": None}))["response"] == "p"
    tool.invoke({"problem": "p", "history": [{"role": "user", "content": "hello"}]})
    assert model.calls[-1][0][1:] == [HumanMessage("hello"), HumanMessage("p")]


def test_the_form_of_the_input_has_what_the_input_has() -> None:
    """Studio shows it: not the state of the run that START writes."""
    graph, _ = echo()
    assert graph.get_input_jsonschema()["properties"].keys() == {"problem", "history", "messages"}


@pytest.mark.parametrize(
    ("edit", "seen"),
    [
        ({"history": [("user", "other")]}, ["other", "p"]),
        ({"problem": "q"}, ["hello", "q"]),
        ({"problem": "q", "history": []}, ["q"]),
        ({"settings": {"max_steps": 3}}, ["hello", "p"]),
        ({"usage": {}}, ["hello", "p"]),
    ],
)
def test_an_edit_before_the_first_draft_keeps_the_input(edit: Any, seen: list[str]) -> None:
    """What it does not name stays, also the settings of the call; the run starts once, and its input is gone then."""
    model = ScriptedModel(lambda messages, *_: step(str(messages[-1].text)))
    graph = build_rsd_graph(model, model, ScriptedReward([KEEP])).compile(
        checkpointer=InMemorySaver(), interrupt_before=["draft"]
    )
    context: Any = {"system_prompt": "", "max_steps": 2}
    graph.invoke({"problem": "old"}, thread())
    question: Any = {"problem": "p", "history": [("user", "hello")]}
    out = graph.invoke(question, thread(), context=context)
    assert (out["steps"], out["response"]) == ([], "")
    graph.update_state(thread(), edit)
    graph.update_state(thread(), {"settings": {"seed": 1}})
    graph.invoke(None, thread())
    assert [message.text for message in model.calls[-1][0]] == seen
    values = graph.get_state(thread()).values
    assert not {"problem", "history", "messages"} & values.keys()
    assert (values["settings"].system_prompt, values["settings"].seed) == ("", 1)
    assert len(graph.invoke(None, thread())["steps"]) == 2


def test_a_run_may_be_started_by_an_edit() -> None:
    """`update_state` with a problem, and then `invoke(None)`: on a fresh thread, and on one with a finished run."""
    graph, model = echo(settings=RSDSettings(system_prompt="Think."), checkpointer=InMemorySaver())
    graph.update_state(thread(), {"problem": "a"})
    assert graph.invoke(None, thread())["response"] == "a"
    graph.invoke({"problem": "b"}, thread(), context={"system_prompt": "Other."})
    graph.update_state(thread(), {"messages": [("user", "c")]}, as_node="__start__")
    assert graph.invoke(None, thread())["response"] == "c"
    assert model.calls[-1][0][0] == SystemMessage("Think.")
    with pytest.raises(InvalidProblemError, match="question"):
        graph.update_state(thread(), {"question": "c"}, as_node="__start__")


class OwnError(Exception):
    """What a user's own client raises."""


class SlottedError(Exception):
    __slots__ = ()


@pytest.mark.parametrize("error", [OwnError("gone"), ValueError("gone"), SlottedError("gone"), ConnectionError("gone")])
@pytest.mark.parametrize("role", ["draft", "target", "reward"])
def test_any_exception_of_a_model_carries_the_steps(error: Exception, role: str) -> None:
    """It stays the exception that it was, and the checkpoint holds the same steps."""
    good = ScriptedModel([step("a"), step("b")])
    fails = ScriptedModel([error if role == "target" else step("a"), error])
    draft = fails if role == "draft" else good
    target = ScriptedModel([step("a"), error]) if role == "target" else good
    reward = ScriptedReward([0.0 if role == "target" else 1.0, error if role == "reward" else 0.0])
    graph = create_rsd_graph(draft, target, reward, checkpointer=InMemorySaver())
    with pytest.raises(type(error), match="gone") as caught:
        graph.invoke({"problem": "p"}, thread())
    assert caught.value is error
    assert [each.text for each in error.steps] == ["a"]  # type: ignore[attr-defined]
    assert graph.get_state(thread()).values["steps"] == error.steps  # type: ignore[attr-defined]


def test_a_model_that_is_not_async_is_named() -> None:
    """In one line: which model, which method, and what it must be."""

    class Plain:
        name = "plain"

        def generate(self, *_: Any, **__: Any) -> list[Generation]:
            return [step("a")]

        def score(self, *_: Any, **__: Any) -> list[float]:
            return [0.5]

    plain: Any = Plain()
    with pytest.raises(ModelError, match=r"plain: `generate` must be an `async def`; it returned \[Generation"):
        create_rsd_graph(plain, plain, ScriptedReward([KEEP])).invoke({"problem": "p"})
    with pytest.raises(RewardError, match=r"plain: `score` must be an `async def`; it returned \[0\.5\]"):
        create_rsd_graph(ScriptedModel([step("a")]), plain, plain).invoke({"problem": "p"})


@pytest.mark.parametrize(
    ("generation", "message"),
    [
        (Generation(3, "eos"), "text: .* got 3"),  # type: ignore[arg-type]
        (Generation("a \ud83d", "eos"), "text"),
        (Generation("a", "stop"), r"finish: .*'delimiter', 'length' or 'eos'|finish"),  # type: ignore[arg-type]
        (Generation("a", "eos", logprobs=(None, -0.1)), r"logprobs\.0: .* got None"),  # type: ignore[arg-type]
        (Generation("a", "eos", logprobs="-0.1"), "logprobs"),  # type: ignore[arg-type]
        (Generation("a", "eos", usage={"prompt": "many"}), r"usage\.prompt"),  # type: ignore[arg-type]
    ],
)
def test_a_generation_of_wrong_parts_is_named(generation: Generation, message: str) -> None:
    """With the model's name, and before it reaches a reward or a checkpoint."""
    model = ScriptedModel([generation], name="odd")
    graph = create_rsd_graph(model, model, ScriptedReward([KEEP]))
    with pytest.raises(ModelError, match=rf"odd returned a Generation that is wrong: {message}"):
        graph.invoke({"problem": "p"})


@pytest.mark.parametrize(
    "message", [RemoveMessage(id="1"), HumanMessage([{"text": "a block without a type"}])], ids=["removal", "block"]
)
def test_a_message_that_no_server_takes_is_named(message: BaseMessage) -> None:
    """In one line, before a server is asked."""
    given: Any = {"problem": "p", "history": [message]}
    model = LlamaCpp("http://127.0.0.1:1")
    graph = create_rsd_graph(model, model, ScriptedReward([KEEP]))
    with pytest.raises(InvalidProblemError, match="the conversation cannot be sent to a model"):
        graph.invoke(given)


def test_parts_of_a_record_may_be_plain() -> None:
    """A dict for the usage, any iterable of log-probabilities, NumPy's strings: the records hold the real ones."""
    plain: Any = Generation(np.str_("a"), "eos", usage={"prompt": 3}, logprobs=(each for each in [-0.5]))  # type: ignore[arg-type]

    class PlainReward:
        name = "plain"

        async def score(self, *_: Any) -> list[Score]:
            return [Score(0.9, usage={"prompt": 5})]  # type: ignore[arg-type]

    graph = create_rsd_graph(ScriptedModel([plain]), ScriptedModel([plain]), PlainReward())
    out = graph.invoke({"problem": "p"})
    assert (out["usage"].draft, out["usage"].reward) == (TokenUsage(3, 0, 1), TokenUsage(5))
    assert type(out["steps"][0].text) is str


def test_a_score_of_wrong_parts_is_named() -> None:
    """With the reward's name."""

    class OddReward:
        name = "odd"

        async def score(self, *_: Any) -> list[Score]:
            return [Score(0.9, usage={"prompt": -1})]  # type: ignore[arg-type]

    model = ScriptedModel([step("a")])
    with pytest.raises(RewardError, match=r"odd returned a Score that is wrong: usage\.prompt"):
        create_rsd_graph(model, model, OddReward()).invoke({"problem": "p"})
