"""LangChain tools that the models call, on scripted models."""

import asyncio
import json
from typing import Annotated, Any

import pytest
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.prebuilt import InjectedState
from langgraph.types import Command, interrupt
from pydantic import ValidationError

from rsd_graph import RSDSettings, create_rsd_graph
from rsd_graph.checkpoints import serializer
from rsd_graph.errors import ConfigurationError
from rsd_graph.testing import ScriptedModel, ScriptedReward
from rsd_graph.tools.functions import LONGEST_RESULT, Calls, Functions
from tests.graph.scripts import KEEP, REWRITE, step, thread


@tool
def price(item: str, count: int = 1) -> float:
    """The price of some items, in euros."""
    return {"apple": 0.5, "pear": 0.75}[item] * count


def call(name: str, arguments: str) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


ASKED = "I look it up.\n" + call("price", '{"item": "pear", "count": 4}')
RESULT = "<|im_end|>\n<|im_start|>user\n<tool_response>\n{}\n</tool_response><|im_end|>\n<|im_start|>assistant\n"


def models(*texts: str) -> Any:
    return ScriptedModel([step(text, "eos") for text in texts])


def test_a_call_is_answered_and_the_model_goes_on() -> None:
    """As Hermes and Qwen are trained: a call ends the turn, and the result is the user's. The prompt tells of both."""
    draft = models(ASKED, r"Four pears cost \boxed{3}.")
    graph = create_rsd_graph(draft, models("-"), ScriptedReward([KEEP]), tools=[price])
    out = graph.invoke({"problem": "What do four pears cost?"})
    assert [each.author for each in out["steps"]] == ["draft", "tool", "draft"]
    assert out["response"] == ASKED + RESULT.format("3.0") + r"Four pears cost \boxed{3}."
    assert (out["answer"], out["stop"]) == ("3", "eos")
    system, _ = draft.calls[0][0]
    assert system.text.startswith("Please put your final answer within \\boxed{}.\n\n# Tools")
    assert '"name": "price"' in system.text
    assert "The price of some items" in system.text


def test_a_rejected_step_calls_nothing() -> None:
    """A tool may do more than answer: only what is kept may call it."""
    called: list[str] = []

    def buy(item: str) -> str:
        """Buy an item."""
        called.append(item)
        return "bought"

    draft = models(call("buy", '{"item": "yacht"}'), r"\boxed{1}")
    target = models(call("buy", '{"item": "apple"}'))
    graph = create_rsd_graph(draft, target, ScriptedReward([REWRITE, KEEP]), tools=[buy])
    out = graph.invoke({"problem": "Buy something."})
    assert called == ["apple"]
    assert [each.author for each in out["steps"]] == ["target", "tool", "draft"]
    with pytest.raises(ValidationError, match="no rejected step calls them"):
        RSDSettings(tools="functions", tools_before_score=True)


def test_several_calls_are_answered_in_their_order() -> None:
    calls = call("price", '{"item": "apple"}') + "\n" + call("price", '{"item": "pear"}')
    out = create_rsd_graph(models(calls, r"\boxed{1}"), models("-"), ScriptedReward([KEEP]), tools=[price]).invoke(
        {"problem": "p"}
    )
    assert out["steps"][1].text == RESULT.format("0.5\n</tool_response>\n<tool_response>\n0.75")


@pytest.mark.parametrize("item", ["<tool_call>", "</tool_call>", "<tool_call>{}</tool_call>"])
def test_a_tag_in_an_argument_is_a_text(item: str) -> None:
    """A call about calls is one call; one whose closing tag is missing is still told from the next."""

    def same(item: str) -> str:
        """The same text."""
        return str(len(item))

    calls = call("same", json.dumps({"item": item}))
    assert asyncio.run(Functions([same]).output(calls)) == str(len(item))
    assert asyncio.run(Functions([same]).output(calls.removesuffix("</tool_call>") + calls)).count(str(len(item))) == 2


@pytest.mark.parametrize(
    ("calls", "told"),
    [
        (call("cost", "{}"), "Error: there is no function 'cost'; there are: price"),
        (call("price", '{"item": "plum"}'), "Error: KeyError: 'plum'"),
        (call("price", '{"count": "many"}'), "Error: ValidationError"),
        ("<tool_call>price of a pear</tool_call>", "Error: this is no call; expected"),
        ("<tool_call>[1]</tool_call>", "Error: this is no call"),
        ("<tool_call>" + "[" * 100_000 + "</tool_call>", "Error: this is no call"),
        (call("price", "[1]"), "Error: "),
    ],
)
def test_a_call_that_fails_says_why(calls: str, told: str) -> None:
    """The models read it, and the run goes on."""
    assert asyncio.run(Functions([price]).output(calls)).startswith(told)


def test_a_result_ends_nothing_early() -> None:
    """No mark of the format stands in it, nor a control token; a long one is cut in the middle."""

    def show(what: str) -> str:
        """Show something."""
        return {"marks": "</tool_response><tool_call>", "token": "<|im_end|>", "long": "ab" * 9000}[what]

    functions = Functions([show])
    marks = asyncio.run(functions.output(call("show", '{"what": "marks"}')))
    assert "</tool_response>" not in marks
    assert "<tool_call>" not in marks
    assert len(asyncio.run(functions.output(call("show", '{"what": "long"}')))) == LONGEST_RESULT + 3
    draft = models(call("show", '{"what": "token"}'), r"\boxed{1}")
    out = create_rsd_graph(draft, models("-"), ScriptedReward([KEEP]), tools=[show]).invoke({"problem": "p"})
    assert out["steps"][1].text.count("<|im_end|>") == 2  # those of the format


@pytest.mark.parametrize(
    ("text", "is_open", "calls"),
    [
        ("no call", False, None),
        ("a <tool_call>{", True, None),
        ("a <tool_call>{}</tool_call>\n", False, "<tool_call>{}</tool_call>\n"),
        ("a <tool_call>{}</tool_call> and on", False, None),
        ("<tool_call>1</tool_call><tool_call>2", True, None),
    ],
)
def test_calls_are_found_at_the_end_of_a_text(text: str, is_open: bool, calls: str | None) -> None:
    assert Calls().is_open(text) is is_open
    assert Calls().code(text, ended=False) == calls


def test_a_turn_of_calls_gets_back_the_tags_that_a_server_left_out() -> None:
    """Which takes them for control tokens. Without them, a model that reads its own call does not know it again."""
    bare = '{"name": "price", "arguments": {"item": "pear"}}'
    whole = call("price", '{"item": "pear"}')
    assert Calls().marked(f"{bare}\n{bare}", ended=True) == f"{whole}\n{whole}"
    for text in (f"{bare}\nand so on", f"Here: {bare}", '{"name": "price"}', whole, ""):
        assert Calls().marked(text, ended=True) == text
    assert Calls().marked(bare, ended=False) == bare
    draft = models(bare, r"\boxed{1}")
    out = create_rsd_graph(draft, models("-"), ScriptedReward([KEEP]), tools=[price]).invoke({"problem": "p"})
    assert out["response"] == whole + RESULT.format("0.75") + r"\boxed{1}"


def test_a_command_is_refused() -> None:
    """Nothing here obeys it; the model is told rather than shown an update that was not made."""

    @tool
    def update() -> Command[Any]:
        """Update the graph."""
        return Command(update={"steps": []})

    assert "returned a Command, which cannot be" in asyncio.run(Functions([update]).output(call("update", "{}")))


def test_a_tool_may_ask_a_person() -> None:
    """Its interrupt pauses the run; the answer is the result."""

    @tool
    def ask(question: str) -> str:
        """Ask a person."""
        return str(interrupt(question))

    graph = create_rsd_graph(
        models(call("ask", '{"question": "How old?"}'), r"\boxed{7}"),
        models("-"),
        ScriptedReward([KEEP]),
        tools=[ask],
        checkpointer=InMemorySaver(serde=serializer()),
    )
    paused: Any = graph.invoke({"problem": "p"}, thread())
    assert paused["__interrupt__"][0].value == "How old?"
    out = graph.invoke(Command(resume="7"), thread())
    assert out["steps"][1].text == RESULT.format("7")


def test_mistakes_are_named() -> None:
    """Two tools of one name, what can be no tool, and the setting without tools."""

    def price(item: str) -> float:
        """Another price."""
        return len(item)

    first: BaseTool = globals()["price"]
    with pytest.raises(ConfigurationError, match="two tools have the same name"):
        Functions([first, price])
    with pytest.raises(ConfigurationError, match="can be no tool"):
        Functions([lambda x: x])
    graph = create_rsd_graph(models("a"), models("b"), ScriptedReward([KEEP]))
    with pytest.raises(ConfigurationError, match="but the graph has none"):
        graph.invoke({"problem": "p"}, context={"tools": "functions"})


def test_other_prompts_and_settings_stay_as_they_are() -> None:
    """The signatures follow a prompt of the user's; a call may still turn the tools off."""
    settings = RSDSettings(system_prompt="You sell fruit.", threshold=0.9)
    draft = models(ASKED)
    graph = create_rsd_graph(draft, models("-"), ScriptedReward([KEEP]), tools=[price], settings=settings)
    out = graph.invoke({"problem": "p"}, context={"tools": "off"})
    assert [each.author for each in out["steps"]] == ["draft"]
    assert draft.calls[0][0][0].text.startswith("You sell fruit.\n\n# Tools\n\nYou may call")
    assert draft.calls[0][2].threshold == 0.9


def test_a_list_stays_a_list_and_text_blocks_are_lines() -> None:
    """LangChain takes a list of texts for parts of one message, and would run them together."""
    for returned, read in [
        (["pear", "plum"], '["pear", "plum"]'),
        ([{"type": "text", "text": "pear"}, {"type": "text", "text": "plum"}], "pear\nplum"),
        ([{"type": "image_url", "image_url": "é"}], '[{"type": "image_url", "image_url": "é"}]'),
    ]:

        def fruits(returned: Any = returned) -> Any:
            """All fruits."""
            return returned

        assert asyncio.run(Functions([fruits]).output(call("fruits", "{}"))) == read


def test_signatures_are_as_they_were_written() -> None:
    """Chat templates write other letters than ASCII as they are; escapes would cost tokens and cannot be read."""

    def preis() -> int:
        """Gebühr in €."""
        return 1

    assert "Gebühr in €." in Functions([preis]).prompt()


def test_half_a_character_in_a_result_ends_no_run() -> None:
    def odd() -> str:
        """Text that was cut in the middle of a character."""
        return "a\ud83db"

    draft = models(call("odd", "{}"), r"\boxed{1}")
    graph = create_rsd_graph(
        draft, models("-"), ScriptedReward([KEEP]), tools=[odd], checkpointer=InMemorySaver(serde=serializer())
    )
    assert graph.invoke({"problem": "p"}, thread("t"))["steps"][1].text == RESULT.format("a?b")


def test_calls_before_one_that_asks_a_person_are_made_again() -> None:
    """As the page on tools says: LangGraph runs an interrupted node from its start."""
    bought: list[int] = []

    def buy() -> str:
        """Buy an apple."""
        bought.append(1)
        return "bought"

    def ask() -> str:
        """Ask a person."""
        return str(interrupt("?"))

    draft = models(call("buy", "{}") + "\n" + call("ask", "{}"), r"\boxed{1}")
    graph = create_rsd_graph(
        draft, models("-"), ScriptedReward([KEEP]), tools=[buy, ask], checkpointer=InMemorySaver(serde=serializer())
    )
    graph.invoke({"problem": "p"}, thread("t"))
    out = graph.invoke(Command(resume="yes"), thread("t"))
    assert len(bought) == 2
    assert out["steps"][1].text == RESULT.format("bought\n</tool_response>\n<tool_response>\nyes")


def test_of_injected_arguments_only_the_config_is_filled_in() -> None:
    """As the page on tools says."""

    def stateful(state: Annotated[dict[str, Any], InjectedState]) -> str:
        """Read the state."""
        return str(state)

    def configured(config: RunnableConfig) -> str:
        """Read the thread."""
        return str(config["configurable"]["thread_id"])

    draft = models(call("stateful", "{}") + "\n" + call("configured", "{}"), r"\boxed{1}")
    graph = create_rsd_graph(
        draft,
        models("-"),
        ScriptedReward([KEEP]),
        tools=[stateful, configured],
        checkpointer=InMemorySaver(serde=serializer()),
    )
    text = graph.invoke({"problem": "p"}, thread("t7"))["steps"][1].text
    assert "Error: ValidationError" in text
    assert "<tool_response>\nt7\n</tool_response>" in text
