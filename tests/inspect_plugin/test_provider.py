"""RSD as a model: what other people's tasks hand to it."""

import asyncio
from typing import Any

import pytest
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    ChatMessageUser,
    ContentImage,
    ContentReasoning,
    ContentText,
    GenerateConfig,
)
from inspect_ai.tool import ToolInfo

from rsd_graph import Generation
from rsd_graph.errors import ConfigurationError
from rsd_graph.inspect.backends import using
from rsd_graph.inspect.provider import RSDModel
from rsd_graph.strategies.outcome import Models
from rsd_graph.testing import ScriptedModel, ScriptedReward
from rsd_graph.tools.formats import PROMPT

ASKED = ChatMessageUser(content="2+2?")


def generate(*messages: Any, tools: Any = (), **config: Any) -> Any:
    return asyncio.run(RSDModel("embedded").generate(list(messages), list(tools), "auto", GenerateConfig(**config)))


@pytest.mark.parametrize(
    ("messages", "more", "told"),
    [
        ([ASKED], {"tools": [ToolInfo(name="bash", description="a shell")]}, "calls no tools"),
        ([ASKED], {"num_choices": 4}, "by epochs"),
        ([], {}, "must end with a message of the user"),
        ([ASKED, ChatMessageAssistant(content="The answer is")], {}, "must end with a message of the user"),
        ([ASKED, ChatMessageTool(content="4"), ASKED], {}, "a message of the role tool"),
        ([ChatMessageUser(content=[ContentText(text="What is it?"), ContentImage(image="a.png")])], {}, "type image"),
    ],
)
def test_what_it_cannot_do_justice_to_is_refused(messages: list[Any], more: dict[str, Any], told: str) -> None:
    """Rather than left out: the answer would be graded as if the model had been given everything."""
    with pytest.raises(ConfigurationError, match=told):
        generate(*messages, **more)


def test_a_conversation_is_read_whole() -> None:
    """Save what an earlier answer thought. Nothing is added: a task may score something else than a box."""
    draft = ScriptedModel([Generation("four, of course", "eos")])
    earlier = ChatMessageAssistant(content=[ContentReasoning(reasoning="hm"), ContentText(text="Hello.")])
    with using(Models(draft, ScriptedModel([]), ScriptedReward([0.9]))):
        output = generate(
            ChatMessageSystem(content="Be brief."), ChatMessageUser(content="Hi!"), earlier,
            ChatMessageUser(content=[ContentText(text="2+2?")]), max_tokens=5, stop_seqs=[","],
        )  # fmt: skip
    ((messages, _, settings),) = draft.calls
    assert [(each.type, each.text) for each in messages] == [
        ("system", "Be brief."), ("human", "Hi!"), ("ai", "Hello."), ("human", "2+2?"),
    ]  # fmt: skip
    assert settings.max_tokens == 5
    assert (output.completion, output.stop_reason) == ("four", "stop")


@pytest.mark.parametrize(("option", "first"), [({"system_prompt": "Think."}, "Think."), ({"tools": "python"}, PROMPT)])
def test_a_system_prompt_is_added_where_it_is_needed(option: dict[str, Any], first: str) -> None:
    """One that the user says; and the one without which models write no programs."""
    draft = ScriptedModel([Generation("4", "eos")])
    with using(Models(draft, ScriptedModel([]), ScriptedReward([0.9]))):
        asyncio.run(RSDModel("embedded", **option).generate([ASKED], [], "auto", GenerateConfig()))
    assert draft.calls[0][0][0].text == first
