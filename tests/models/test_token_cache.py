import asyncio

import pytest

from rsd_graph.errors import ModelUnreachableError
from rsd_graph.models import token_cache
from rsd_graph.models.token_cache import TokenCache


class Tokenizer:
    def __init__(self) -> None:
        self.asked: list[tuple[str, bool]] = []

    async def encode(self, text: str, *, special_tokens: bool = False) -> list[int]:
        self.asked.append((text, special_tokens))
        if text == "gone":
            raise ModelUnreachableError(text)
        return [ord(letter) for letter in text]


def test_a_text_is_asked_for_once() -> None:
    """The second time it comes from the cache."""
    tokenizer = Tokenizer()
    cache = TokenCache(tokenizer.encode)
    assert [asyncio.run(cache.encode("ab")) for _ in range(2)] == [[97, 98]] * 2
    assert tokenizer.asked == [("ab", False)]


def test_an_empty_text_has_no_tokens() -> None:
    """Nobody is asked: some tokenizers would add a token of their own."""
    tokenizer = Tokenizer()
    assert asyncio.run(TokenCache(tokenizer.encode).encode("")) == []
    assert tokenizer.asked == []


def test_a_prompt_with_special_tokens_is_not_kept() -> None:
    """It differs from the same text without, and is not asked for twice."""
    tokenizer = Tokenizer()
    cache = TokenCache(tokenizer.encode)
    for special_tokens in (True, True, False):
        asyncio.run(cache.encode("a", special_tokens=special_tokens))
    assert tokenizer.asked == [("a", True), ("a", True), ("a", False)]


def test_the_least_recently_used_text_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache is bounded."""
    monkeypatch.setattr(token_cache, "REMEMBERED", 2)
    tokenizer = Tokenizer()
    cache = TokenCache(tokenizer.encode)
    for text in ("a", "b", "a", "c", "a", "b"):
        asyncio.run(cache.encode(text))
    assert [text for text, _ in tokenizer.asked] == ["a", "b", "c", "b"]


def test_an_error_is_not_kept() -> None:
    """The next call asks again."""
    tokenizer = Tokenizer()
    cache = TokenCache(tokenizer.encode)
    for _ in range(2):
        with pytest.raises(ModelUnreachableError):
            asyncio.run(cache.encode("gone"))
    assert len(tokenizer.asked) == 2
