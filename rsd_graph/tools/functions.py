"""LangChain tools for models that call functions: how the models are told of them, and how their calls are answered.

Calls are written as Hermes, Qwen2.5 and Qwen3 are trained to write them
(https://github.com/NousResearch/Hermes-Function-Calling): a JSON object between tags, which ends the model's turn; the
results come as the user's next turn.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool, tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.errors import GraphBubbleUp

from rsd_graph.errors import ConfigurationError
from rsd_graph.tools.formats import shortened, unmarked

OPENING, CLOSING = "<tool_call>", "</tool_call>"
RESULT, RESULT_END = "<tool_response>", "</tool_response>"
_TAG = re.compile(f"{OPENING}|{CLOSING}")
BETWEEN = f"\n{RESULT_END}\n{RESULT}\n"
"""What stands between the results of several calls in one turn."""
LONGEST_RESULT = 4000
"""Characters; of a longer result, the models see both ends."""

PROMPT = f"""\
# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{{signatures}}
</tools>

For each function call, return a json object with function name and arguments within {OPENING}{CLOSING} XML tags:
{OPENING}
{{{{"name": <function-name>, "arguments": <args-json-object>}}}}
{CLOSING}"""
"""As the chat templates of Qwen2.5 and Qwen3 have it, which their models were trained on."""
ASKED = "Please put your final answer within \\boxed{}."
"""What stands before it by default: asked to reason step by step, small models guess rather than call."""


class Calls:
    """The format of calls. See `ToolFormat`."""

    names = ""
    """No model's name asks for it: the graph's own tools do."""
    stops = (RESULT,)
    shows_control_tokens = False

    def is_open(self, text: str) -> bool:
        """See `ToolFormat`."""
        _, opened, rest = text.rpartition(OPENING)
        return bool(opened) and CLOSING not in rest

    def code(self, text: str, *, ended: bool) -> str | None:  # noqa: ARG002  # a call may end a step or a turn
        """See `ToolFormat`: all calls, if the text ends with one."""
        _, opened, rest = text.partition(OPENING)
        return opened + rest if opened and text.rstrip().endswith(CLOSING) else None

    def marked(self, text: str, *, ended: bool) -> str:
        """See `ToolFormat`: llama.cpp takes Qwen's tags for control tokens. A turn of nothing but calls had them."""
        calls = _untagged(text) if ended else []
        return "\n".join(f"{OPENING}\n{call}\n{CLOSING}" for call in calls) or text

    def answer(self, output: str) -> str:
        """See `ToolFormat`."""
        return f"<|im_end|>\n<|im_start|>user\n{RESULT}\n{output}\n{RESULT_END}<|im_end|>\n<|im_start|>assistant\n"


class Functions:
    """The tools of a graph.

    Args:
        tools: LangChain tools, or functions to make tools of, with a docstring and annotations.

    Raises:
        ConfigurationError: two have the same name, or one can be no tool.
    """

    def __init__(self, tools: Sequence[BaseTool | Callable[..., Any]]) -> None:
        made = [_tool(each) for each in tools]
        self._tools = {each.name: each for each in made}
        if len(self._tools) < len(made):
            raise ConfigurationError(
                f"two tools have the same name; there are: {', '.join(each.name for each in made)}"
            )

    def __bool__(self) -> bool:
        return bool(self._tools)

    def prompt(self) -> str:
        """What tells the models of the tools, for the end of a system prompt."""
        signatures = "\n".join(
            json.dumps(convert_to_openai_tool(each), ensure_ascii=False) for each in self._tools.values()
        )
        return PROMPT.format(signatures=signatures)

    async def output(self, calls: str, clean: Callable[[str], str] = str) -> str:
        """The results of these calls, one after the other; a call that fails says why, and the model may try again.

        Args:
            calls: See `Calls.code`.
            clean: Makes a result harmless.
        """
        return BETWEEN.join([_whole(clean(await self._result(call))) for call in _tagged(calls)])

    async def _result(self, block: str) -> str:
        call = _read(block)
        if call is None:
            return 'Error: this is no call; expected {"name": "...", "arguments": {...}}'
        name, arguments = call
        if name not in self._tools:
            return f"Error: there is no function {name!r:.100}; there are: {', '.join(self._tools)}"
        try:
            said = await self._tools[name].ainvoke({"type": "tool_call", "id": "call", "name": name, "args": arguments})
        except GraphBubbleUp:  # the tool asks a person
            raise
        except Exception as error:  # noqa: BLE001  # a tool is anybody's, and its fault is the model's to read
            return f"Error: {type(error).__name__}: {error}"
        if not isinstance(said, ToolMessage):  # a `Command` is for a graph of LangGraph's own nodes
            return f"Error: {name} returned a {type(said).__name__}, which cannot be shown or obeyed here"
        return _text(said.content)


def _tagged(text: str) -> list[str]:
    """What stands between the tags. A tag within the JSON, in a text that a call passes on, is none."""
    found = []
    _, opened, rest = text.partition(OPENING)
    while opened:
        call = _TAG.split(rest, maxsplit=1)[0]
        try:
            _, end = json.JSONDecoder().raw_decode(rest, len(rest) - len(rest.lstrip()))
        except (ValueError, RecursionError):
            pass  # no call: the model is told so
        else:
            if _TAG.match(rest[end:].lstrip()):
                call = rest[:end]
        found.append(call)
        _, opened, rest = rest[len(call) :].partition(OPENING)
    return found


def _untagged(text: str) -> list[str]:
    """The calls of a text that is nothing but calls."""
    found, rest = [], text.strip()
    while rest:
        try:
            _, end = json.JSONDecoder().raw_decode(rest)
        except (ValueError, RecursionError):
            return []
        found.append(rest[:end])
        rest = rest[end:].lstrip()
    return found if all(map(_read, found)) else []


def _read(call: str) -> tuple[str, dict[str, Any]] | None:
    """The name and arguments of a call; None if it is none."""
    try:
        match json.loads(call):
            case {"name": str(name), "arguments": dict(arguments)}:
                return name, arguments
    except (ValueError, RecursionError):
        pass
    return None


def _tool(given: BaseTool | Callable[..., Any]) -> BaseTool:
    if isinstance(given, BaseTool):
        return given
    try:
        return tool(given)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{given!r:.100} can be no tool: {error}") from error


def _text(content: str | list[Any]) -> str:
    """What a tool returned. Run together, as `ToolMessage.text` has them, the items of a list would be one word."""
    if isinstance(content, str):
        return content
    if content and all(isinstance(block, dict) and block.get("type") == "text" for block in content):
        return "\n".join(block["text"] for block in content)
    return json.dumps(content, ensure_ascii=False, default=str)


def _whole(result: str) -> str:
    """The result, of a length that a model can read, and with nothing in it that ends it early."""
    result = result.encode(errors="replace").decode()  # half a surrogate pair can neither be sent nor stored
    return unmarked(shortened(result, LONGEST_RESULT), (OPENING, CLOSING, RESULT, RESULT_END))
