from dataclasses import dataclass
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import get_runtime
from pydantic import BaseModel, ValidationError
from typing_extensions import TypedDict

from rsd_graph import Generation, RSDSettings, create_rsd_graph
from rsd_graph.errors import ConfigurationError, ModelUnreachableError
from rsd_graph.testing import ScriptedModel, ScriptedReward
from tests.graph.scripts import KEEP, step, thread

OWN = RSDSettings(temperature=0.25, max_steps=4)
"""What the graphs of this file were made with."""


class ParentState(TypedDict, total=False):
    problem: str
    response: str


class Recorder(ScriptedModel):
    """A draft that records the settings of each call; its nth answer may be an error."""

    def __init__(self, *script: Generation | Exception) -> None:
        super().__init__(list(script) or [step("a")])

    @property
    def temperatures(self) -> list[float]:
        return [call[2].temperature for call in self.calls]


def graph_of(draft: ScriptedModel, **more: Any) -> Any:
    return create_rsd_graph(draft, draft, ScriptedReward([KEEP]), settings=OWN, **more)


def parent_of(child: Any, context_schema: Any = None, **compile_options: Any) -> Any:
    parent: Any = StateGraph(ParentState, context_schema)
    parent.add_node("solver", child)
    parent.add_edge(START, "solver")
    parent.add_edge("solver", END)
    return parent.compile(**compile_options)


@pytest.mark.parametrize("context", [None, {}, RSDSettings(), {"max_tokens": 4096}])
def test_what_a_call_does_not_pass_comes_from_the_graph(context: Any) -> None:
    """An empty context passes nothing, and an instance passes the fields that it was made with."""
    draft = Recorder()
    out = graph_of(draft).invoke({"problem": "p"}, context=context)
    assert (len(out["steps"]), draft.temperatures[0]) == (4, 0.25)


def test_a_field_passed_with_its_default_value_is_passed() -> None:
    """The default of `RSDSettings` wins over the graph's own, if the call says so."""
    draft = Recorder()
    graph_of(draft).invoke({"problem": "p"}, context={"temperature": 0.0, "max_steps": 1})
    assert draft.temperatures == [0.0]


@pytest.mark.parametrize("context", [None, {}, RSDSettings()])
def test_a_run_whose_first_draft_failed_keeps_its_settings(context: Any) -> None:
    """It was resumed with the defaults once, because no node had written its settings."""
    draft = Recorder(ModelUnreachableError("gone"), step("a"))
    graph = graph_of(draft, checkpointer=InMemorySaver())
    with pytest.raises(ModelUnreachableError):
        graph.invoke({"problem": "p"}, thread(), context={"temperature": 0.5, "max_steps": 2})
    out = graph.invoke(None, thread(), context=context)
    assert (draft.temperatures, len(out["steps"])) == ([0.5, 0.5, 0.5], 2)


def test_resuming_with_some_fields_changes_only_those() -> None:
    """The others stay what the run had; the changed ones stay for the next time."""
    draft = Recorder(step("a"), ModelUnreachableError("gone"), ModelUnreachableError("gone"), step("b"))
    graph = graph_of(draft, checkpointer=InMemorySaver())
    with pytest.raises(ModelUnreachableError):
        graph.invoke({"problem": "p"}, thread(), context={"temperature": 0.5, "delimiter": "##", "max_steps": 9})
    with pytest.raises(ModelUnreachableError):
        graph.invoke(None, thread(), context={"max_steps": 3})
    fork = graph.update_state(graph.get_state(thread()).config, {"settings": {"seed": 5}})
    out = graph.invoke(None, fork, context={"max_steps": 2})
    assert (out["response"], set(draft.temperatures)) == ("a##b", {0.5})
    kept = graph.get_state(thread()).values["settings"]
    assert kept == RSDSettings(temperature=0.5, delimiter="##", max_steps=2, seed=5)


def test_a_new_problem_does_not_inherit_the_last_ones_settings() -> None:
    """The run so far is the run of this problem: a thread's next problem starts from the graph's own settings."""
    draft = Recorder()
    graph = graph_of(draft, checkpointer=InMemorySaver())
    graph.invoke({"problem": "a"}, thread(), context={"temperature": 0.5, "max_steps": 1})
    graph.invoke({"problem": "b"}, thread(), context={"max_steps": 1})
    assert draft.temperatures == [0.5, 0.25]


PARENTS_OWN: list[Any] = [
    {"temperature": 0.9},
    {"temperature": 5.0},
    {"max_steps": 2, "threshold": "high"},
    {"user": "ada", "seed": 7},
    RSDSettings(temperature=0.9, max_steps=2),
    "ada",
]


@pytest.mark.parametrize("context", PARENTS_OWN)
def test_a_parents_context_is_the_parents(context: Any) -> None:
    """It never changes a child: neither with names and values of settings, nor with values that are out of range."""
    draft = Recorder()
    out = parent_of(graph_of(draft)).invoke({"problem": "p"}, context=context)
    assert (len(out["response"].split("\n\n")), set(draft.temperatures)) == (4, {0.25})


@dataclass
class Attributes:
    rsd: Any
    temperature: float = 0.9


class Model(BaseModel):
    rsd: RSDSettings | None = None
    temperature: float = 0.9


@pytest.mark.parametrize(
    ("context", "steps"),
    [
        ({"rsd": {"max_steps": 2}, "temperature": 0.9}, 2),
        ({"rsd": RSDSettings(max_steps=2)}, 2),
        (Attributes({"max_steps": 2}), 2),
        (Model(rsd=RSDSettings(max_steps=2)), 2),
        (Model(), 4),
        ({"rsd": None}, 4),
        ({"rsd": {}}, 4),
    ],
)
def test_under_one_key_a_parent_passes_settings(context: Any, steps: int) -> None:
    """As a dict or as an instance; other fields come from the child, as with a context of its own."""
    draft = Recorder()
    out = parent_of(graph_of(draft)).invoke({"problem": "p"}, context=context)
    assert (len(out["response"].split("\n\n")), set(draft.temperatures)) == (steps, {0.25})


@pytest.mark.parametrize(
    ("rsd", "message"),
    [({"threshold": 5}, "threshold: .* got 5"), ({"treshold": 0.5}, "treshold"), ("high", "got 'high'"), (5, "got 5")],
)
def test_a_wrong_value_under_that_key_is_named(rsd: Any, message: str) -> None:
    """The parent meant the child: what it passed is not ignored."""
    with pytest.raises(ConfigurationError, match=rf"`rsd` in the parent's context: .*{message}"):
        parent_of(graph_of(Recorder())).invoke({"problem": "p"}, context={"rsd": rsd})


@pytest.mark.parametrize("schema", [None, Attributes])
def test_a_parents_key_reaches_a_grandchild_and_a_call_inside_a_node(schema: Any) -> None:
    """Through a graph between them, and where the parent's node calls the graph by hand; a passed context wins."""
    draft = Recorder()
    child = graph_of(draft)
    grandparent = parent_of(parent_of(child), schema)
    context: Any = {"rsd": {"max_steps": 2}}
    assert grandparent.invoke({"problem": "p"}, context=context)["response"] == "a\n\na"

    def calling(**call: Any) -> Any:
        return parent_of(lambda state: {"response": child.invoke({"problem": state["problem"]}, **call)["response"]})

    assert calling().invoke({"problem": "p"}, context=context)["response"] == "a\n\na"
    assert calling(config={"configurable": {"thread_id": "own"}}).invoke({"problem": "p"}, context=context)[
        "response"
    ] == ("a\n\na")
    assert calling(context={}).invoke({"problem": "p"}, context=context)["response"] == "a\n\na"
    assert calling(context={"max_steps": 3}).invoke({"problem": "p"}, context=context)["response"] == "a\n\na\n\na"


def test_a_graph_inside_a_graphs_model_has_settings_of_its_own() -> None:
    """The outer graph's context is a parent's too."""
    inner_draft = Recorder()
    inner = graph_of(inner_draft)

    class Nested(ScriptedModel):
        async def generate(self, *_: Any, **__: Any) -> list[Generation]:
            return [Generation((await inner.ainvoke({"problem": "inner"}))["response"], "eos")]

    nested = Nested([])
    outer = create_rsd_graph(nested, nested, ScriptedReward([KEEP]))
    out = outer.invoke({"problem": "p"}, context={"temperature": 0.9, "max_steps": 1})
    assert (out["steps"][0].text.count("a"), set(inner_draft.temperatures)) == (4, {0.25})


def test_a_parent_resumes_its_child_with_the_childs_settings() -> None:
    """A child whose first draft failed keeps what its parent passed; resumed with another value, it takes that."""
    draft = Recorder(ModelUnreachableError("gone"), step("a"))
    parent = parent_of(graph_of(draft), checkpointer=InMemorySaver())
    for name, context, steps in (("1", None, 2), ("2", {"rsd": {"max_steps": 3}}, 3)):
        draft.calls.clear()
        with pytest.raises(ModelUnreachableError):
            parent.invoke({"problem": "p"}, thread(name), context={"rsd": {"max_steps": 2}})
        assert len(parent.invoke(None, thread(name), context=context)["response"].split("\n\n")) == steps


def test_a_models_own_look_at_the_parents_context_still_works() -> None:
    """A user's model may find its caller there, as in any subgraph."""
    seen: list[Any] = []

    class Curious(ScriptedModel):
        async def generate(self, *_: Any, **__: Any) -> list[Generation]:
            seen.append(get_runtime().context)
            return [Generation("a", "eos")]

    curious = Curious([])
    context = {"user": "ada"}
    parent_of(create_rsd_graph(curious, curious, ScriptedReward([KEEP]))).invoke({"problem": "p"}, context=context)
    assert seen == [context]


@pytest.mark.parametrize("context", [{"threshold": 1.5}, {"treshold": 0.5}, {"temperature": 5.0, "max_steps": 3}])
def test_a_wrong_value_in_a_graphs_own_context_is_named(context: Any) -> None:
    """Before any model is asked, by pydantic's error, in every form of the call."""
    draft = Recorder()
    name = next(iter(context))
    for call in (graph_of(draft).invoke, lambda *given, **more: list(graph_of(draft).stream(*given, **more))):
        with pytest.raises(ValidationError, match=name):
            call({"problem": "p"}, context=context)
    assert draft.calls == []


def test_a_context_of_another_kind_is_refused() -> None:
    """It was ignored, and the run went on with other settings than the caller meant."""
    with pytest.raises(ConfigurationError, match="got 'high'"):
        graph_of(Recorder()).invoke({"problem": "p"}, context="high")


def test_settings_changed_without_validation_are_checked() -> None:
    """`model_copy` does not validate."""
    with pytest.raises(ValidationError, match="max_steps"):
        graph_of(Recorder()).invoke({"problem": "p"}, context=RSDSettings().model_copy(update={"max_steps": 0}))
