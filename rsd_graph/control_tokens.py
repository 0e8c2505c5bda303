"""Keep text from becoming control tokens: pure.

A tokenizer that parses special tokens turns the characters `<|im_end|>` into the token that ends a turn, wherever they
come from: a problem that contains them could close the user's turn and open a system message of its own. Text of
users, tools and models is therefore neutralized before it reaches a prompt. A zero-width space after the first
character keeps it readable, and no tokenizer takes it for the token any more.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from langchain_core.messages import AIMessage, BaseMessage

BREAK = "\u200b"
"""Zero-width space."""

SHAPES = (
    r"<\|[^<>\n]{1,64}?\|>",  # Qwen, Llama 3, Phi, gpt-oss: <|im_start|>, <|eot_id|>, <|python_tag|>, <|channel|>
    "<\uff5c[^<>\\n]{1,64}?\uff5c>",  # DeepSeek, with full-width bars
    r"</?(?:s|bos|eos|pad|unk|mask|cls|sep)>",  # sentencepiece and BERT
    r"<(?:start|end)_of_[a-z]{2,16}>",  # Gemma: <start_of_turn>
    r"</?(?:think|tool_call|tool_response|tools|tool_declare|tool_code)>",  # Qwen3 and its relatives
    r"<(?:extra_id_|extra_|unused|reserved_|SPECIAL_|reserved_special_token_)\d+>",
    r"<(?:fim|repo|file|gh|jupyter|commit|code)_[a-z_]{1,32}>",  # StarCoder's, and CodeGemma's
    r"\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|ARGS|CALL_ID|THINK|IMG|IMG_END"
    r"|IMG_BREAK|PREFIX|MIDDLE|SUFFIX|BEGIN_OF_TEXT)\]",  # Mistral
    r"<</?SYS>>",  # Llama 2
    r"\[(?:CLS|SEP|MASK|PAD|UNK|gMASK|sMASK)\]",  # BERT, GLM
)
"""Regular expressions of the control tokens of common model families."""

_COMMON = re.compile("|".join(SHAPES))

M = TypeVar("M", bound=BaseMessage)


def neutralize(text: str, markers: Iterable[str] = ()) -> str:
    """The text, with what would be a control token broken by a zero-width space after its first character.

    Args:
        text: Of a user, a tool or a model.
        markers: Further regular expressions, such as those of a reward model's step markers.
    """
    pattern = re.compile("|".join([*SHAPES, *markers])) if markers else _COMMON
    return pattern.sub(lambda found: found[0][0] + BREAK + found[0][1:], text)


def neutralize_messages(messages: Sequence[M]) -> list[M]:
    """The messages with neutral text: content, text blocks, and the arguments of tool calls."""
    return [_neutral_message(message) for message in messages]


def _neutral_message(message: M) -> M:
    update: dict[str, Any] = {"content": _neutral(message.content)}
    if isinstance(message, AIMessage) and message.tool_calls:
        update["tool_calls"] = _neutral(message.tool_calls)
    if all(getattr(message, name) == value for name, value in update.items()):
        return message
    return message.model_copy(update=update)


def _neutral(value: Any) -> Any:
    """Every text in a JSON value, neutralized."""
    match value:
        case str():
            return neutralize(value)
        case list():
            return [_neutral(each) for each in value]
        case dict():
            return {key: _neutral(each) for key, each in value.items()}
    return value
