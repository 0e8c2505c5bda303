from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import BaseModel

from rsd_graph.errors import InvalidProblemError
from rsd_graph.question import read_messages, read_question

HELLO, HI, ASKED = HumanMessage("hello"), AIMessage("hi"), HumanMessage("p")
HANDOVER = [
    AIMessage("", tool_calls=[{"name": "transfer_to_solver", "args": {}, "id": "1"}]),
    ToolMessage("transferred", tool_call_id="1"),
]


@dataclass
class DataState:
    problem: str
    other: int = 3


class ModelState(BaseModel):
    messages: list[Any]
    problem: str | None = None


@pytest.mark.parametrize(
    ("given", "history"),
    [
        ({"problem": "p"}, []),
        ({"problem": "p", "history": None}, []),
        ({"problem": "p", "history": []}, []),
        ({"problem": "p", "history": (HELLO, HI)}, [HELLO, HI]),
        ({"problem": "p", "history": [("user", "hello"), {"role": "assistant", "content": "hi"}]}, [HELLO, HI]),
        ({"problem": "p", "history": [HELLO.model_dump(), HI.model_dump()]}, [HELLO, HI]),
        ({"problem": "p", "messages": None}, []),
        ({"problem": "p", "messages": []}, []),
        ({"problem": "p", "response": "old", "user": "ada"}, []),
        ({"messages": [ASKED]}, []),
        ({"messages": [HELLO, HI, ASKED], "problem": None, "history": None}, [HELLO, HI]),
        ({"messages": [SystemMessage("s"), HELLO, HI, ("user", "p")]}, [SystemMessage("s"), HELLO, HI]),
        ({"messages": [HELLO, HI, {"type": "human", "content": "p"}]}, [HELLO, HI]),
        ({"messages": [HELLO, HI, HumanMessage([{"type": "text", "text": "p"}])]}, [HELLO, HI]),
        ({"messages": [HELLO, ASKED, *HANDOVER]}, [HELLO]),
        (DataState("p"), []),
        (ModelState(messages=[HELLO, HI, ASKED]), [HELLO, HI]),
    ],
)
def test_both_shapes_of_the_input_are_read(given: Any, history: list[BaseMessage]) -> None:
    """A problem with a history, or a conversation; from a dict, or from a parent's state with keys of its own."""
    assert read_question(given) == {"problem": "p", "history": history}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "the input has no problem: .* got an empty input"),
        ({"question": "p"}, "the input has no problem: pass `problem`, a text, or `messages`; got question"),
        ({"history": [HELLO]}, "got history"),
        ({"messages": []}, "got messages"),
        ({"messages": None, "history": None}, "got messages, history"),
        (None, "must be a dict .* got None"),
        ("p", "must be a dict .* got 'p'"),
        ([ASKED], "must be a dict"),
        (5, "has no problem: .* got int"),
        ({"problem": None}, "non-empty text, got None"),
        ({"problem": ["p"]}, r"non-empty text, got \['p'\]"),
        ({"problem": HumanMessage("p")}, "non-empty text, got HumanMessage"),
        ({"problem": "p", "history": "hello"}, "`history` must be a list of messages, got 'hello'"),
        ({"problem": "p", "history": 5}, "`history` must be a list of messages, got 5"),
        ({"problem": "p", "history": {"role": "user", "content": "x"}}, "`history` must be a list of messages, got {"),
        ({"problem": "p", "history": HELLO}, "`history` must be a list of messages, got HumanMessage"),
        ({"problem": "p", "history": [5]}, r"`history` must be a list of messages such as .* got \[5\]"),
        ({"problem": "p", "history": [None]}, r"got \[None\]"),
        ({"problem": "p", "history": [{"role": "user"}]}, "`history` must be a list of messages"),
        ({"problem": "p", "history": [{"role": "wizard", "content": "x"}]}, "`history` must be a list of messages"),
        ({"problem": "p", "history": [{"content": "x"}]}, "`history` must be a list of messages"),
        ({"problem": "p", "history": [("user", "a \ud83d")]}, "`history` contains an unpaired surrogate"),
        ({"messages": "hello"}, "`messages` must be a list of messages, got 'hello'"),
        ({"messages": ASKED}, "`messages` must be a list of messages"),
        ({"messages": [HI]}, "no human message.* got ai"),
        ({"messages": [SystemMessage("s")]}, "no human message.* got system"),
        ({"messages": [ASKED, HI]}, "followed by a message of type 'ai': end `messages` with the human message"),
        ({"messages": [ASKED, SystemMessage("s")]}, "followed by a message of type 'system'"),
        ({"messages": [("user", " ")]}, "non-empty text, got ' '"),
        (
            {"messages": [HumanMessage([{"type": "image_url", "image_url": "x"}])]},
            "must be text, got a message with other",
        ),
        ({"problem": "p", "messages": [ASKED]}, "both `messages` and `problem` or `history`"),
        ({"history": [HELLO], "messages": [ASKED]}, "both `messages` and `problem` or `history`"),
    ],
)
def test_what_is_no_question_is_refused(given: Any, message: str) -> None:
    """In one line, with what was given and what is expected."""
    with pytest.raises(InvalidProblemError, match=message) as caught:
        read_question(given)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 300


def test_a_message_comes_back_from_json_as_it_was() -> None:
    """With its tool calls and identifier in the fields that held them."""
    message = AIMessage(
        "x", id="7", tool_calls=[{"name": "f", "args": {"a": 1}, "id": "1"}], response_metadata={"m": 1}
    )
    assert read_messages([message.model_dump()], "history") == [message]


def test_any_mapping_is_an_input() -> None:
    """Not only a dict."""

    class Own(Mapping[str, Any]):
        def __getitem__(self, key: str) -> Any:
            return {"problem": "p"}[key]

        def __iter__(self) -> Any:
            return iter(["problem"])

        def __len__(self) -> int:
            return 1

    assert read_question(Own())["problem"] == "p"
