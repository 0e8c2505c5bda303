import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

from rsd_graph import Generation, Score, create_rsd_graph
from rsd_graph.testing import ScriptedModel, ScriptedReward
from tests.graph.scripts import KEEP, REWRITE, step, thread

STEPS = [step("one"), step("cut", "length"), step(" on"), step("end", "eos")]


def solver(**options: Any) -> Any:
    draft, target = ScriptedModel(STEPS), ScriptedModel([step("the target's")])
    return create_rsd_graph(draft, target, ScriptedReward([KEEP, KEEP, KEEP, REWRITE, KEEP]), **options)


def messages_of(graph: Any, given: Any = None, **options: Any) -> list[AIMessageChunk]:
    chunks = graph.stream(given or {"problem": "p"}, options.pop("config", None), stream_mode="messages", **options)
    return [message for message, _ in chunks]


@pytest.mark.parametrize(
    "given", [{"problem": "p"}, {"messages": [HumanMessage("hi"), AIMessage("yo"), ("human", "p")]}]
)
def test_messages_are_the_steps_of_the_response_and_nothing_else(given: dict[str, Any]) -> None:
    """Neither the prompt nor a rejected draft; joined, the pieces are the response, and all carry one id."""
    graph = solver()
    response = solver().invoke(given)["response"]
    messages = messages_of(graph, given)
    assert [type(message) for message in messages] == [AIMessageChunk] * len(messages)
    assert "".join(message.text for message in messages) == response == "one\n\ncut on\n\nthe target's\n\nend"
    assert len({message.id for message in messages}) == 1


def test_each_run_is_a_message_of_its_own() -> None:
    """Also on one thread."""
    graph = solver(checkpointer=InMemorySaver())
    first, second = (messages_of(graph, config=thread()) for _ in range(2))
    assert first[0].id != second[0].id


def test_a_resumed_run_continues_its_message() -> None:
    """With the same id, and without what was shown before."""
    graph = solver(checkpointer=InMemorySaver())
    before = messages_of(graph, config=thread(), interrupt_after=["check"])
    after = [message for message, _ in graph.stream(None, thread(), stream_mode="messages")]
    assert [message.text for message in before] == ["one"]
    assert after[0].text == "\n\ncut"
    assert {message.id for message in after} == {before[0].id}


def test_a_parent_streams_the_steps_of_its_node() -> None:
    """Asynchronously too, as LangGraph intends: with `subgraphs=True`."""
    builder = StateGraph(MessagesState)
    builder.add_node("solver", solver())
    builder.add_edge(START, "solver")
    builder.add_edge("solver", END)
    parent: Any = builder.compile()

    async def texts() -> list[str]:
        stream: AsyncIterator[Any] = parent.astream(
            {"messages": [HumanMessage("p")]}, stream_mode="messages", subgraphs=True
        )
        return [message.text async for _, (message, _) in stream]

    assert "".join(asyncio.run(texts())).startswith("one\n\ncut on")


class Talking:
    """Models of a user's own that ask a chat model."""

    name = "talking"

    def __init__(self) -> None:
        self.chat = GenericFakeChatModel(messages=iter([AIMessage("Yes indeed")] * 9))

    async def generate(self, *_: Any, **__: Any) -> list[Generation]:
        return [Generation((await self.chat.ainvoke("go")).text, "eos")]

    async def score(self, *_: Any) -> list[Score]:
        await self.chat.ainvoke("is it right?")
        return [Score(1.0)]


def test_chat_models_inside_models_do_not_talk_into_the_stream() -> None:
    """What a draft proposes is shown once it is kept, and what a judge says never is."""
    model = Talking()
    graph = create_rsd_graph(model, model, model)
    assert [message.text for message in messages_of(graph)] == ["Yes indeed"]
