"""Steps end between characters.

A character may take several tokens, and a token limit may fall between them. Servers show the torso as U+FFFD, or keep
it back. Neither may become part of the response: the next step goes on from the text, and the character would be lost.
So a cut step ends after its last whole character. If there is none, it gets the few tokens more that the character
needs.
"""

from collections.abc import Awaitable, Callable

from rsd_graph.errors import ModelResponseError
from rsd_graph.state import Finish, Generation

MOST_EXTRA = 6
"""Tokens beyond its limit that a step may take to complete its first character; UTF-8 has at most 4 bytes."""

LONGEST_TOKEN = 256
"""Characters; known tokenizers have runs of up to 128 blanks."""


def whole(text: str, finish: Finish) -> str:
    """The text of a step without the torso of a character at its end."""
    return text.rstrip("\ufffd") if finish == "length" else text


async def with_a_character(ask: Callable[[int], Awaitable[list[Generation]]], limit: int) -> list[Generation]:
    """Ask for steps of `limit` tokens, and for a few more where these are less than one character.

    Args:
        ask: Asks for steps of so many tokens, whose texts are `whole`.
        limit: Tokens of a step.
    """
    for extra in range(MOST_EXTRA):
        generations = await ask(limit + extra)
        if all(each.text or each.given_up or each.finish != "length" for each in generations):
            break
    return generations


def require_plausible(text: str, tokens: int, where: str) -> None:
    """Refuse a text that so many tokens cannot make: the server ignores the limit.

    Raises:
        ModelResponseError: gives both numbers.
    """
    if len(text) > LONGEST_TOKEN * (tokens + MOST_EXTRA):
        raise ModelResponseError(f"{where} answered with {len(text)} characters, and was asked for {tokens} tokens")
