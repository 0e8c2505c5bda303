"""Keep text from becoming control tokens: pure.

A tokenizer that parses special tokens turns the characters `<|im_end|>` into the token that ends a turn, wherever they
come from: a problem that contains them could close the user's turn and open a system message of its own. Text of
users, tools and models is therefore neutralized before it reaches a prompt. A zero-width space after the first
character keeps it readable, and no tokenizer takes it for the token any more.
"""

import re
from collections.abc import Sequence
from typing import Any, TypeVar

from langchain_core.messages import BaseMessage

BREAK = "\u200b"
"""Zero-width space."""

SHAPES = (
    r"<\|[^<>\n]{1,64}?\|>",  # Qwen, Llama 3, Phi, gpt-oss: <|im_start|>, <|eot_id|>, <|python_tag|>, <|channel|>
    "<\uff5c[^<>\\n]{1,64}?\uff5c>",  # DeepSeek, with full-width bars
    r"<\|[a-z_\"]{1,32}>|<[a-z_\"]{1,32}\|>",  # Gemma 4, one for each side: <|turn> and <turn|>
    r"</?(?:s|bos|eos|pad|unk|mask|cls|sep|sop|eop|eoh|eoa|image|img|video|audio)>",  # sentencepiece, BERT, GLM, LLaVA
    r"<(?:BOS|EOS|EOP|PAD|UNK|MASK|CLS|SEP)(?:_TOKEN)?>",  # Cohere
    r"<(?:start|end)_of_[a-z]{2,16}>",  # Gemma: <start_of_turn>
    r"</?(?:think|tool_call|tool_response|tools|tool_declare|tool_code|arg_key|arg_value)>",  # Qwen3, GLM 4.5
    r"</?[a-z]{2,16}:[a-z_]{2,32}>",  # Seed, MiniMax: <seed:think>
    r"<\[[^<>\[\]\n]{1,64}\]>|\]<\][^<>\[\]\n]{1,64}\[>\[",  # Seed-Coder, MiniMax
    r"<(?:extra_id_|extra_|unused|unused_token_|reserved_|SPECIAL_|reserved_special_token_)\d+>|<image_soft_token>",
    r"<(?:fim|repo|file|gh|jupyter|commit|code)_[a-z_]{1,32}>",  # StarCoder's, and CodeGemma's
    r"\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|ARGS|CALL_ID|THINK|IMG|IMG_END"
    r"|IMG_BREAK|PREFIX|MIDDLE|SUFFIX|BEGIN_OF_TEXT|MODEL_SETTINGS)\]",  # Mistral
    r"<</?SYS>>",  # Llama 2
    r"\[(?:CLS|SEP|MASK|PAD|UNK|gMASK|sMASK)\]",  # BERT, GLM
)
"""Regular expressions of the control tokens of common model families."""

_COMMON = re.compile("|".join(SHAPES))

SHOWN = ("content", "name", "role", "tool_calls", "tool_call_id")
"""What chat templates show of a message."""

M = TypeVar("M", bound=BaseMessage)


def neutralize(text: str) -> str:
    """The text of a user, a tool or a model, with nothing in it that a tokenizer would read as a control token."""
    return _broken(_COMMON, text)


def break_markers(text: str, markers: Sequence[str]) -> str:
    """The text with nothing in it that matches one of these regular expressions: a reward model's step markers."""
    return _broken(re.compile("|".join(markers)), text) if markers else text


def _broken(pattern: re.Pattern[str], text: str) -> str:
    return pattern.sub(lambda found: found[0][0] + BREAK + found[0][1:], text)


def neutralize_messages(messages: Sequence[M]) -> list[M]:
    """The messages with neutral text: content, names, and tool calls with their arguments."""
    return [_neutral_message(message) for message in messages]


def _neutral_message(message: M) -> M:
    given = {name: value for name in SHOWN if (value := getattr(message, name, None))}
    update = _neutral(given)
    return message if update == given else message.model_copy(update=update)


def _neutral(value: Any) -> Any:
    """Every text in a JSON value, neutralized."""
    match value:
        case str():
            return neutralize(value)
        case list():
            return [_neutral(each) for each in value]
        case dict():
            return {_neutral(key): _neutral(each) for key, each in value.items()}
    return value
