import asyncio
import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

from rsd_graph import Generation, TokenUsage, Usage, build_rsd_graph, create_rsd_graph
from rsd_graph.run_scope import moment
from rsd_graph.testing import ScriptedModel, ScriptedReward
from tests.graph.scripts import KEEP, REWRITE, step, thread


def solver(**options: Any) -> Any:
    """Two steps, the second by the target."""
    draft = ScriptedModel(lambda _, response, __: step("no", "eos") if response else step("one"))
    target = ScriptedModel([step("the target's end", "eos")], streams=True)
    rewards = ScriptedReward(lambda steps, _: REWRITE if steps else KEEP)
    return create_rsd_graph(draft, target, rewards, **options)


def parent_of(child: Any, **options: Any) -> Any:
    parent: Any = StateGraph(MessagesState)
    parent.add_node("solver", child)
    parent.add_edge(START, "solver")
    parent.add_edge("solver", END)
    return parent.compile(**options)


def texts(messages: list[BaseMessage]) -> list[tuple[str, str]]:
    return [(message.type, str(message.text)) for message in messages]


SAID = "one\n\nthe target's end"


def test_a_problem_gives_one_message() -> None:
    """The response, with metadata."""
    out = solver().invoke({"problem": "p"})
    (message,) = out["messages"]
    assert isinstance(message, AIMessage)
    assert message.text == out["response"] == SAID
    assert [each["author"] for each in message.response_metadata["steps"]] == ["draft", "target"]
    assert message.usage_metadata is not None


def test_the_message_counts_what_was_started_early_too() -> None:
    """Its usage is the output's, work that nobody needed included."""

    class Early:
        def abandon(self) -> Usage:
            return Usage(draft=TokenUsage(completion=5), discarded=5)

    class Ahead(ScriptedModel):
        async def generate(self, *given: Any, **options: Any) -> list[Generation]:
            now = moment()
            assert now
            now.scope.leave("place", Early())
            return await super().generate(*given, **options)

    model = Ahead([step("a", "eos", tokens=2)])
    out = create_rsd_graph(model, model, ScriptedReward([KEEP])).invoke({"problem": "p"})
    assert out["usage"].draft.completion == 7
    assert out["messages"][0].usage_metadata["output_tokens"] == 7


def test_messages_come_back_with_the_response() -> None:
    """As they were, with their ids; those without one get one. Calls of tools that follow the question stay too."""
    call = AIMessage("", tool_calls=[{"name": "solve", "args": {}, "id": "1"}])
    given = [SystemMessage("s", id="s"), HumanMessage("p", id="p"), call, ToolMessage("ok", tool_call_id="1")]
    out = solver().invoke({"messages": given})
    assert texts(out["messages"]) == [*texts(given), ("ai", SAID)]
    assert [message.id for message in out["messages"][:2]] == ["s", "p"]
    assert all(message.id for message in out["messages"])
    assert call.id is None  # the caller's own are left alone


def test_each_run_of_a_thread_has_its_own_messages() -> None:
    """The conversation of a thread is the caller's: the graph brings back what this input brought."""
    graph = solver(checkpointer=InMemorySaver())
    graph.invoke({"messages": [("user", "a")]}, thread())
    assert texts(graph.invoke({"messages": [("user", "b")]}, thread())["messages"]) == [("human", "b"), ("ai", SAID)]
    assert texts(graph.invoke({"problem": "c"}, thread())["messages"]) == [("ai", SAID)]
    graph.update_state(thread(), {"messages": [("user", "d")]}, as_node="__start__")
    assert texts(graph.invoke(None, thread())["messages"]) == [("human", "d"), ("ai", SAID)]


def test_a_parent_gets_one_more_message_a_turn() -> None:
    """Without a mapping; nothing is doubled, and the history of the next turn is the conversation."""
    compiled = parent_of(solver(), checkpointer=InMemorySaver())
    for turn in (1, 2):
        out = compiled.invoke({"messages": [("user", f"q{turn}")]}, thread())
    assert texts(out["messages"]) == [("human", "q1"), ("ai", SAID), ("human", "q2"), ("ai", SAID)]
    assert len({message.id for message in out["messages"]}) == 4


def test_a_state_that_comes_back_whole_asks_nothing() -> None:
    """Studio sends messages beside the steps; a run that an edit has made go on replies once."""
    graph = solver(checkpointer=InMemorySaver())
    graph.invoke({"messages": [("user", "p")]}, thread())
    sent = {"steps": [], "stop": None, "messages": [{"type": "human", "content": "p", "id": "p"}]}
    graph.update_state(thread(), json.loads(json.dumps(sent)), as_node="check")
    out = graph.invoke(None, thread())
    assert texts(out["messages"]) == [("human", "p"), ("ai", SAID)]


@pytest.mark.parametrize("subgraphs", [False, True])
@pytest.mark.parametrize("given", [[HumanMessage("p", id="p")], [("user", "p")]])
def test_a_parent_streams_the_response_once(given: Any, subgraphs: bool) -> None:
    """With its subgraphs piece by piece, without them as the node ends; no prompt, no second copy."""
    compiled = parent_of(solver())

    async def run() -> tuple[list[BaseMessage], Any]:
        shown: list[BaseMessage] = []
        out: Any = None
        async for *_, mode, part in compiled.astream(
            {"messages": given}, stream_mode=["messages", "values"], subgraphs=subgraphs
        ):
            if mode == "messages":
                shown.append(part[0])
            elif "messages" in part:
                out = part
        return shown, out

    shown, out = asyncio.run(run())
    assert "".join(str(message.text) for message in shown) == SAID
    assert {message.id for message in shown} == {out["messages"][-1].id}
    assert len(shown) == (1 if not subgraphs else 5)


def test_what_has_no_text_is_one_message_too() -> None:
    """A run that ends at once."""
    model = ScriptedModel([step("", "eos")])
    graph = create_rsd_graph(model, model, ScriptedReward([KEEP]))
    shown: list[Any] = [message for message, _ in graph.stream({"problem": "p"}, stream_mode="messages")]
    assert [(message.text, message.chunk_position) for message in shown] == [("", "last")]


def test_the_last_piece_carries_the_metadata() -> None:
    """So that the pieces add up to the message."""
    graph = solver(checkpointer=InMemorySaver())
    pieces: Any = [message for message, _ in graph.stream({"problem": "p"}, thread(), stream_mode="messages")]
    assert [piece.text for piece in pieces] == ["one", "\n\nthe ", "target's ", "end", ""]
    whole = sum(pieces[1:], pieces[0])
    (message,) = graph.get_state(thread()).values["messages"]
    assert (whole.id, whole.text) == (message.id, message.text)
    assert (whole.response_metadata, whole.usage_metadata) == (message.response_metadata, message.usage_metadata)


async def chat_events(graph: Any, given: Any) -> list[Any]:
    return [each async for each in graph.astream_events(given, version="v2") if "chat_model" in each["event"]]


@pytest.mark.parametrize("within", [False, True])
def test_events_of_version_2_show_a_chat_model(within: bool) -> None:
    """`on_chat_model_stream` with the pieces, and at the end the message; from inside a parent too."""
    given: Any = {"messages": [HumanMessage("p")]}
    events = asyncio.run(chat_events(parent_of(solver()) if within else solver(), given))
    kinds = [each["event"].removeprefix("on_chat_model_") for each in events]
    assert kinds == ["start", *["stream"] * 5, "end"]
    assert "".join(each["data"]["chunk"].text for each in events[1:-1]) == SAID
    assert len({each["run_id"] for each in events}) == 1
    assert len(events[0]["parent_ids"]) == (4 if within else 2)
    assert events[-1]["data"]["output"].text == SAID


@pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
@pytest.mark.parametrize("within", [False, True])
def test_events_of_version_3_are_one_message(within: bool) -> None:
    """`run.messages` has one stream, which follows the protocol; a parent has it on its subgraph."""
    tests = pytest.importorskip("langchain_tests.utils.stream_lifecycle")
    graph = parent_of(solver()) if within else solver()
    run = graph.stream_events({"messages": [HumanMessage("p")]}, version="v3")
    if within:
        streams = [(list(each.text), each.output) for sub in run.subgraphs for each in sub.messages]
    else:
        streams = [(list(each.text), each.output) for each in run.messages]
    ((pieces, message),) = streams
    assert "".join(pieces) == SAID
    assert len(pieces) == 4
    assert (message.text, message.response_metadata["stop"]) == (SAID, "eos")
    assert message.usage_metadata["input_tokens"] > 0
    raw = graph.stream_events({"messages": [HumanMessage("p")]}, version="v3")
    tests.assert_valid_event_stream([each["params"]["data"][0] for each in raw if each["method"] == "messages"])


def test_a_paused_run_shows_the_rest_when_it_goes_on() -> None:
    """What the target had shown before the pause is not shown again."""
    draft = ScriptedModel([step("no")])
    target = ScriptedModel([step("one two"), step("three", "eos")], streams=True)
    graph = build_rsd_graph(draft, target, ScriptedReward([REWRITE])).compile(
        checkpointer=InMemorySaver(), interrupt_after=["target"]
    )
    shown: list[list[str]] = []
    given: Any = {"problem": "p"}
    for _ in range(3):
        pieces: Any = graph.stream(given, thread(), stream_mode="messages")
        shown.append([str(message.text) for message, _ in pieces])
        given = None
    assert shown == [["one ", "two"], ["\n\nthree"], [""]]
