"""What the body of a request may hold, and what a client is told of one that is wrong."""

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from rsd_graph.gateway.refusals import Refusal
from rsd_graph.gateway.request import read_request

USER = [{"role": "user", "content": "2+2?"}]


def read(**fields: Any) -> Any:
    return read_request(json.dumps({"messages": USER, **fields}).encode(), "rsd")


def refused(content: bytes | None = None, **fields: Any) -> dict[str, Any]:
    with pytest.raises(Refusal) as raised:
        read_request(json.dumps({"messages": USER, **fields}).encode() if content is None else content, "rsd")
    error: dict[str, Any] = raised.value.body["error"]
    return {"status": raised.value.status, **error}


def test_the_least_is_a_message() -> None:
    """Everything else has a default, and the graph's settings hold."""
    asked = read()
    assert asked.messages == [HumanMessage("2+2?")]
    assert asked.settings.model_dump(exclude_unset=True) == {}
    assert (asked.stop, asked.stream, asked.include_usage, asked.details) == ((), False, False, False)


def test_roles_are_langchains() -> None:
    """A developer's message is a system message."""
    turns = [("system", "s"), ("developer", "d"), ("user", "u"), ("assistant", "a"), ("user", "q")]
    asked = read(messages=[{"role": role, "content": text} for role, text in turns])
    assert asked.messages == [
        SystemMessage("s"),
        SystemMessage("d"),
        HumanMessage("u"),
        AIMessage("a"),
        HumanMessage("q"),
    ]


def test_unknown_fields_are_ignored() -> None:
    """Clients send many: `user`, `store`, `reasoning_effort`, and what other servers take."""
    asked = read(user="me", store=True, reasoning_effort="low", top_k=5, metadata={"a": "b"}, service_tier="auto")
    assert asked.settings.model_dump(exclude_unset=True) == {}


def test_nulls_and_neutral_values_ask_for_nothing() -> None:
    """Clients send defaults explicitly."""
    asked = read(
        n=1, tools=None, tool_choice="none", response_format={"type": "text"}, logprobs=False, frequency_penalty=0.0,
        temperature=None, stop=None, stream=None, stream_options=None, rsd=None, logit_bias={}, seed=None,
    )  # fmt: skip
    assert asked.settings.model_dump(exclude_unset=True) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 2),
        ("n", 1000),
        ("n", 0),
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("functions", [{"name": "f"}]),
        ("tool_choice", "required"),
        ("response_format", {"type": "json_object"}),
        ("logprobs", True),
        ("top_logprobs", 5),
        ("logit_bias", {"50256": -100}),
        ("frequency_penalty", 0.5),
        ("presence_penalty", -1),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("web_search_options", {}),
    ],
)
def test_what_is_not_supported_is_refused_by_name(name: str, value: Any) -> None:
    """Rather than ignored: the answer would not be what was asked for."""
    error = refused(**{name: value})
    assert (error["status"], error["param"], error["code"]) == (400, name, "unsupported_parameter")
    assert error["message"].startswith(f"`{name}` is not supported: ")


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1, got 0"),
        ({"max_completion_tokens": -5}, "max_completion_tokens", "greater than or equal to 1, got -5"),
        ({"max_tokens": "12"}, "max_tokens", "valid integer, got '12'"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens", "differ"),
        ({"temperature": 3}, "temperature", "less than or equal to 2, got 3"),
        ({"temperature": "hot"}, "temperature", "valid number, got 'hot'"),
        ({"top_p": 0}, "top_p", "greater than 0"),
        ({"seed": 1.5}, "seed", "valid integer"),
        ({"stop": ""}, "stop", "at least 1 character"),
        ({"stop": ["x"] * 17}, "stop", "at most 16"),
        ({"stop": "x" * 501}, "stop", "at most 500"),
        ({"stream": "yes"}, "stream", "valid boolean"),
        ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage", "valid boolean"),
        ({"rsd": {"treshold": 0.5}}, "rsd.treshold", "not permitted"),
        ({"rsd": {"threshold": 7}}, "rsd.threshold", "less than or equal to 1, got 7"),
        ({"rsd": {"details": 1}}, "rsd.details", "true or false"),
        ({"rsd": []}, "rsd", "valid dictionary"),
        ({"model": 5}, "model", "valid string"),
        ({"messages": []}, "messages", "at least 1 item"),
        ({"messages": "hello"}, "messages", "valid list"),
        ({"messages": [{"role": "user"}]}, "messages.0.content", "required"),
        ({"messages": [{"content": "x"}]}, "messages.0.role", "required"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]}, "messages.0.role", "got 'tool'"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages", "end with a message of the user"),
        ({"messages": [*USER, {"role": "assistant", "content": "It"}]}, "messages", "end with a message of the user"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]}]},
            "messages.0.content",
            "only parts of the type 'text' are supported, got 'image_url'",
        ),
        ({"messages": [{"role": "user", "content": ["text"]}]}, "messages.0.content", "got 'text'"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content", "valid string"),
    ],
)
def test_wrong_values_are_named(fields: dict[str, Any], param: str, message: str) -> None:
    """With what was wrong, and which value."""
    error = refused(**fields)
    assert (error["status"], error["type"]) == (400, "invalid_request_error")
    assert error["param"].startswith(param)
    assert message in error["message"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"temperature": NaN, "messages": [{"role": "user", "content": "x"}]}',
        b"[" * 1_000_000,
        b'{"seed": 1' + b"0" * 5000 + b"}",
    ],
)
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    """Also if it would take a parser apart: nested a million times, half a character, a number without end."""
    assert refused(content)["status"] == 400


def test_another_model_is_not_found() -> None:
    """The message names the one that is there."""
    error = refused(model="gpt-4o")
    assert (error["status"], error["code"]) == (404, "model_not_found")


def test_settings_under_rsd_count() -> None:
    """They are the more exact ones."""
    settings = read(temperature=0.5, max_tokens=10, rsd={"temperature": 0.25, "threshold": 0.5}).settings
    assert settings.model_dump(exclude_unset=True) == {"temperature": 0.25, "max_tokens": 10, "threshold": 0.5}


@pytest.mark.parametrize(("seed", "own"), [(7, 7), (2**31 + 5, 5), (-1, 2**31 - 1), (2**63 - 1, 2**31 - 1)])
def test_any_whole_number_is_a_seed(seed: int, own: int) -> None:
    """The same one gives the same run."""
    assert read(seed=seed).settings.seed == own


def test_stop_is_one_text_or_several() -> None:
    """As in OpenAI's API."""
    assert read(stop="Q:").stop == ("Q:",)
    assert read(stop=["Q:", "\n\n"]).stop == ("Q:", "\n\n")
