"""Whether a prompt fits a model's context, and how long the answer may then be."""

import re
from collections.abc import Awaitable, Callable
from typing import TypeVar

from rsd_graph.errors import ContextOverflowError

T = TypeVar("T")


def require_room(name: str, prompt: int, context: int | None, *, answer: int) -> None:
    """Refuse a prompt that leaves no room for an answer.

    Args:
        name: The model's name.
        prompt: Tokens in the prompt.
        context: Tokens that prompt and answer may have together; None if unknown.
        answer: Tokens that must fit after the prompt; 0 for a model that only reads.

    Raises:
        ContextOverflowError: it does not fit.
    """
    if context is not None and prompt + answer > context:
        raise ContextOverflowError(f"the prompt has {prompt} tokens, and the context of {name} is {context}")


async def as_much_as_fits(
    ask: Callable[[int], Awaitable[T]], wanted: int, room: Callable[[], Awaitable[int | None]]
) -> T:
    """Ask for `wanted` tokens, and for fewer if the server says that they do not fit after the prompt.

    How many do is taken from `room`, else from the numbers in the refusal, else found by halving.

    Args:
        ask: Asks for so many tokens.
        wanted: Tokens.
        room: How many tokens fit after the prompt; None if the server does not tell.

    Raises:
        ContextOverflowError: not even one token fits.
    """
    try:
        return await ask(wanted)
    except ContextOverflowError as error:
        return await _less(ask, wanted, room, error)


async def _less(
    ask: Callable[[int], Awaitable[T]],
    wanted: int,
    room: Callable[[], Awaitable[int | None]],
    refused: ContextOverflowError,
) -> T:
    """Ask for fewer tokens than were refused."""

    async def from_the_server(_: str) -> int | None:
        return await room()

    async def from_the_refusal(said: str) -> int | None:
        return _room_in(said, wanted)

    known = [from_the_server, from_the_refusal]
    limit = wanted
    while limit > 1:
        fits = None
        while known and fits is None:
            fits = await known.pop(0)(str(refused))
            if fits is not None and not 1 <= fits < limit:  # refused already, or read wrongly
                fits = None
        limit = fits or limit // 2
        try:
            return await ask(limit)
        except ContextOverflowError as error:
            refused = error
    raise refused


_NUMBER = r"(\d[\d,]*)"
_CONTEXT = re.compile(
    rf"""(?:context [\s_-]* (?:length|size|window|limit) | max_model_len | max_seq_len | model \s length | <= | >)
    [^\d.]{{0,30}} {_NUMBER}""",
    re.VERBOSE | re.IGNORECASE,
)
_PROMPT = re.compile(
    rf"""{_NUMBER} (?:\s tokens)? \s (?:in|from) \s the \s (?:input\s)?(?:messages|prompt|input)
    | {_NUMBER} \s (?:`inputs`|input|prompt) \s tokens
    | (?:prompt|input|request) \s \( (?:total\s)? (?:length\s)? {_NUMBER}
    | (?:prompt|input) \s length \s \(? {_NUMBER}""",
    re.VERBOSE | re.IGNORECASE,
)
_TOTAL = re.compile(rf"requested (?:a total of )?{_NUMBER} tokens|requested tokens \({_NUMBER}", re.IGNORECASE)


def _room_in(refused: str, wanted: int) -> int | None:
    """How many tokens fit after the prompt, by the numbers in a refusal; None if it does not give both."""
    context, prompt, total = (_first(pattern, refused) for pattern in (_CONTEXT, _PROMPT, _TOTAL))
    if prompt is None and total is not None:
        prompt = total - wanted
    return None if context is None or prompt is None else context - prompt


def _first(pattern: re.Pattern[str], text: str) -> int | None:
    found = pattern.search(text)
    return int(next(group for group in found.groups() if group).replace(",", "")) if found else None
