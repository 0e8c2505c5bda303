import asyncio
import json
import threading
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.load import dumpd
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langgraph.graph import END, START, MessagesState, StateGraph
from pydantic import ValidationError

from rsd_graph import Generation, RSDSettings, create_rsd_graph
from rsd_graph.agents import ChatRSD
from rsd_graph.errors import ConfigurationError, InvalidProblemError, ModelTimeoutError, ModelUnreachableError
from rsd_graph.models.llamacpp import LlamaCpp
from rsd_graph.testing import ScriptedModel, ScriptedReward
from rsd_graph.text_sink import text_sink
from tests.conftest import Events, FakeServer
from tests.graph.scripts import KEEP, REWRITE, step

SAID = "one two\n\nso \\boxed{4}"


def chat(**options: Any) -> ChatRSD:
    draft = ScriptedModel(lambda _, response, __: step("so \\boxed{4}", "eos", 3) if response else step("no", "length"))
    target = ScriptedModel([step("one two", tokens=2)], streams=True)
    graph = create_rsd_graph(draft, target, ScriptedReward(lambda _, each: 0.2 if each.text == "no" else 0.9))
    return ChatRSD(graph=graph, **options)


def saying(*steps: Generation, **options: Any) -> tuple[ChatRSD, ScriptedModel]:
    model = ScriptedModel(list(steps))
    return ChatRSD(graph=create_rsd_graph(model, model, ScriptedReward([KEEP])), **options), model


def test_it_answers() -> None:
    """With the usage of all roles, and what the graph's message says."""
    message = chat().invoke("2 + 2?")
    assert message.text == SAID
    assert message.usage_metadata is not None
    assert message.usage_metadata["output_tokens"] == 5
    assert message.response_metadata["model_name"] == "rsd"
    assert [each["author"] for each in message.response_metadata["steps"]] == ["target", "draft"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_it_streams_as_the_graph_does(asynchronous: bool) -> None:
    """The target's words as they come, the draft's steps whole; the last chunk has the metadata."""

    async def run() -> list[Any]:
        return [chunk async for chunk in chat().astream("2 + 2?")]

    chunks: list[Any] = asyncio.run(run()) if asynchronous else list(chat().stream("2 + 2?"))
    assert [chunk.text for chunk in chunks] == ["one ", "two", "\n\nso \\boxed{4}", ""]
    assert [chunk.chunk_position for chunk in chunks] == [None, None, None, "last"]
    assert [bool(chunk.usage_metadata) for chunk in chunks] == [False, False, False, True]


def test_the_conversation_is_the_history() -> None:
    """Multi-turn: the last human message is the problem."""
    model, script = saying(step("yes", "eos"))
    model.invoke([SystemMessage("Be brief."), HumanMessage("a"), AIMessage("b"), HumanMessage("c")], system_prompt="")
    assert [str(message.text) for message in script.calls[0][0]] == ["Be brief.", "a", "b", "c"]
    with pytest.raises(InvalidProblemError):
        model.invoke([HumanMessage("a"), AIMessage("b")])


def test_batches_are_answered_in_order() -> None:
    """Sync and async."""
    script = ScriptedModel(lambda messages, *_: step(str(messages[-1].text), "eos"))
    model = ChatRSD(graph=create_rsd_graph(script, script, ScriptedReward([KEEP])))
    assert [message.text for message in model.batch(list("abc"))] == list("abc")
    assert [message.text for message in asyncio.run(model.abatch(list("abc")))] == list("abc")


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_stop_sequence_ends_the_response_and_the_run(asynchronous: bool) -> None:
    """Also across pieces; the models are not asked for what would follow."""
    model, script = saying(step("one t"), step("wo END three"), step("four", "eos"))
    stops = ["two", "o\n\n", "t\n\nwo E"]
    message = asyncio.run(model.ainvoke("p", stop=stops)) if asynchronous else model.invoke("p", stop=stops)
    assert (message.text, message.response_metadata["stop"]) == ("one ", "stop_sequence")
    assert len(script.calls) <= 3
    bound, _ = saying(step("one. two", "eos"), stop=["."])
    assert (bound.invoke("p").text, bound.invoke("p", stop=["w"]).text) == ("one", "one. t")


@pytest.mark.parametrize(
    ("options", "call", "expected"),
    [
        ({}, {}, (0.0, 4096, 0.6)),
        ({"temperature": 0.5, "max_tokens": 9}, {}, (0.5, 9, 0.6)),
        ({"settings": RSDSettings(temperature=0.4, max_tokens=8)}, {"max_tokens": 7}, (0.4, 7, 0.6)),
        ({"settings": {"temperature": 0.4}, "temperature": 0.5}, {"threshold": 0.1}, (0.5, 4096, 0.1)),
    ],
)
def test_whose_settings(options: Any, call: Any, expected: Any) -> None:
    """The call's, else the constructor's, else the graph's."""
    seen: list[RSDSettings] = []

    def say(_: Any, __: Any, settings: RSDSettings) -> Generation:
        seen.append(settings)
        return step("x", "eos")

    script = ScriptedModel(say)
    graph = create_rsd_graph(script, script, ScriptedReward([KEEP]), settings=RSDSettings(threshold=0.6))
    ChatRSD(graph=graph, **options).bind(**call).invoke("p")
    assert (seen[0].temperature, seen[0].max_tokens, seen[0].threshold) == expected


@pytest.mark.parametrize("given", [{"thresold": 0.5}, {"tools": []}, {"threshold": 7}])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_wrong_arguments_of_a_call_are_refused_by_name(given: dict[str, Any], asynchronous: bool) -> None:
    """Those that are unknown and those that are out of range."""
    model = chat()
    with pytest.raises(ConfigurationError, match=next(iter(given))):
        asyncio.run(model.ainvoke("p", **given)) if asynchronous else model.invoke("p", **given)


def test_wrong_arguments_of_the_constructor_are_refused_by_name() -> None:
    """And what is no graph."""
    with pytest.raises(ValidationError, match="thresold"):
        chat(thresold=0.5)
    with pytest.raises(ValidationError, match="graph"):
        ChatRSD(graph="graph")  # type: ignore[arg-type]


def test_a_call_may_name_the_model() -> None:
    """Traces and metadata then say so, and usage is counted under it."""
    counting = UsageMetadataCallbackHandler()
    message = chat().invoke("p", {"callbacks": [counting]}, model="other")
    assert message.response_metadata["model_name"] == "other"
    assert counting.usage_metadata.keys() == {"other"}
    assert chat(model_name="mine").invoke("p").response_metadata["model_name"] == "mine"
    params = chat(temperature=0.5)._get_ls_params(model="other")
    assert (params["ls_provider"], params["ls_model_name"], params["ls_temperature"]) == ("rsd", "other", 0.5)


THINKING = step("<think>\nlet me see", "delimiter"), step("2 + 2</thi", "length"), step("nk>It is 4.", "eos")


def test_thoughts_become_reasoning() -> None:
    """In a block of its own, whole and streamed; the text has none of it."""
    model, _ = saying(*THINKING)
    message = model.invoke("p")
    assert message.content == "It is 4."
    assert message.content_blocks == [
        {"type": "reasoning", "reasoning": "\nlet me see\n\n2 + 2"},
        {"type": "text", "text": "It is 4."},
    ]
    model, _ = saying(*THINKING)
    chunks = list(model.stream("p"))
    assert sum(chunks[1:], chunks[0]).content_blocks == message.content_blocks


@pytest.mark.filterwarnings("ignore:The (v3|stream_events)", "ignore:.*v3.*")
def test_thoughts_are_blocks_of_version_3() -> None:
    """Of the events, and of `output_version="v1"`."""
    model, _ = saying(*THINKING)
    blocks = model.stream_events("p", version="v3").output.content_blocks
    assert [block["type"] for block in blocks] == ["reasoning", "text"]
    model, _ = saying(*THINKING, output_version="v1")
    content: Any = model.invoke("p").content
    assert [block["type"] for block in content] == ["reasoning", "text"]


def test_a_response_may_begin_within_a_thought() -> None:
    """Where the chat template opens it."""
    model, _ = saying(step("so</think>yes", "eos"), thinks_first=True)
    assert [block["type"] for block in model.invoke("p").content_blocks] == ["reasoning", "text"]


def test_it_runs_in_a_chain() -> None:
    """Between a prompt and a parser."""
    chain = ChatPromptTemplate.from_messages([("human", "{a} + {b}?")]) | chat() | StrOutputParser()
    assert chain.invoke({"a": 2, "b": 2}) == SAID
    assert "".join(chain.stream({"a": 2, "b": 2})) == SAID


def parent_of(model: ChatRSD, *, asynchronous: bool) -> Any:
    async def aanswer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    parent: Any = StateGraph(MessagesState)
    parent.add_node("answer", aanswer if asynchronous else answer)
    parent.add_edge(START, "answer")
    parent.add_edge("answer", END)
    return parent.compile()


@pytest.mark.parametrize("subgraphs", [False, True])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_graph_around_it_shows_the_response_once(asynchronous: bool, subgraphs: bool) -> None:
    """As from any chat model: the graph inside does not stream past it."""
    parent = parent_of(chat(), asynchronous=asynchronous)
    given: Any = {"messages": [HumanMessage("p")]}

    async def run() -> list[Any]:
        return [each async for each in parent.astream(given, stream_mode="messages", subgraphs=subgraphs)]

    parts = (
        asyncio.run(run()) if asynchronous else list(parent.stream(given, stream_mode="messages", subgraphs=subgraphs))
    )
    shown = [part[1][0] if subgraphs else part[0] for part in parts]
    assert [str(message.text) for message in shown] == ["one ", "two", "\n\nso \\boxed{4}", ""]


def test_events_around_it_show_one_chat_model() -> None:
    """`astream_events(version="v2")`."""
    parent = parent_of(chat(), asynchronous=True)

    async def run() -> list[str]:
        events = parent.astream_events({"messages": [HumanMessage("p")]}, version="v2")
        return [each["event"].removeprefix("on_chat_model_") async for each in events if "chat_model" in each["event"]]

    assert asyncio.run(run()) == ["start", *["stream"] * 4, "end"]


def test_the_graph_is_traced_below_the_model() -> None:
    """A callback sees the runs of the graph as children."""
    runs: list[tuple[str, Any]] = []

    class Tracing(BaseCallbackHandler):
        def on_chat_model_start(self, *_: Any, run_id: Any, **__: Any) -> None:
            runs.append(("model", run_id))

        def on_chain_start(self, *_: Any, **given: Any) -> None:
            runs.append((given["name"], given["parent_run_id"]))

    chat().invoke("p", {"callbacks": [Tracing()]})
    assert runs[1] == ("rsd", runs[0][1])


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_response_has_a_time_limit(asynchronous: bool) -> None:
    """Without async, it is looked at between steps."""

    class Slow(ScriptedModel):
        async def generate(self, *given: Any, **options: Any) -> list[Generation]:
            await asyncio.sleep(0.2)
            return await super().generate(*given, **options)

    slow = Slow([step("and so on")])
    model = ChatRSD(graph=create_rsd_graph(slow, slow, ScriptedReward([KEEP])), timeout=0.5)
    with pytest.raises(ModelTimeoutError, match=r"0\.5 s"):
        asyncio.run(model.ainvoke("p")) if asynchronous else model.invoke("p")
    assert len(slow.calls) <= 4


def test_a_server_that_streams_is_streamed_on(server: FakeServer) -> None:
    """The target's server ends the step only after the reader has its first words."""
    reached = threading.Event()
    last = {"content": " 4.", "stop_type": "eos", "tokens_evaluated": 5, "tokens_predicted": 3}
    server.answer("/apply-template", {"prompt": "p"})
    server.answer("/completion", Events([{"content": "It"}, {"content": " is"}, last], reached=reached))
    target = LlamaCpp(server.url)
    model = ChatRSD(graph=create_rsd_graph(ScriptedModel([step("d")]), target, ScriptedReward([REWRITE])))

    async def run() -> list[str]:
        pieces: list[str] = []
        async for chunk in model.astream("p"):
            pieces.append(chunk.text)
            if "".join(pieces) == "It is":
                reached.set()
        await target.aclose()
        return [piece for piece in pieces if piece]

    assert asyncio.run(run()) == ["It", " is", " 4."]


@pytest.mark.parametrize("how", ["break", "cancel"])
def test_who_stops_reading_stops_the_models(how: str) -> None:
    """A target that is in the middle of a step is cancelled, and without delay."""
    cancelled = asyncio.Event()

    class Hanging:
        name = "hanging"

        async def generate(self, *_: Any, **__: Any) -> list[Generation]:
            sink = text_sink()
            if sink is None:
                return [step("no")]
            sink("some words")
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.set()
                raise
            return []

    model = ChatRSD(graph=create_rsd_graph(Hanging(), Hanging(), ScriptedReward([REWRITE])))

    async def run() -> None:
        if how == "break":
            async for chunk in model.astream("p"):
                assert chunk.text == "some words"
                break
        else:
            task = asyncio.create_task(model.ainvoke("p"))
            await asyncio.sleep(0.2)
            task.cancel()
            await asyncio.wait([task])
        await asyncio.wait_for(cancelled.wait(), 5)

    asyncio.run(run())


def test_errors_are_those_of_the_graph() -> None:
    """With the steps kept so far."""
    script = ScriptedModel([step("one"), ModelUnreachableError("gone")])
    model = ChatRSD(graph=create_rsd_graph(script, script, ScriptedReward([KEEP])))
    with pytest.raises(ModelUnreachableError) as raised:
        model.invoke("p")
    assert [each.text for each in raised.value.steps] == ["one"]


def test_what_is_serializable() -> None:
    """The fields, as JSON; not the graph, and not the model as a whole."""
    model = chat(settings=RSDSettings(threshold=0.5), stop=["x"])
    fields = json.loads(model.model_dump_json(exclude_none=True))
    assert "graph" not in fields
    assert (fields["settings"]["threshold"], fields["stop"]) == (0.5, ["x"])
    assert dumpd(model)["type"] == "not_implemented"
    assert chat()._get_llm_string() != chat()._get_llm_string()  # a cache must not mix up two graphs
