import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rsd_graph._internal import background
from rsd_graph.models.http import ModelServer, TokenIds
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp
from rsd_graph.models.seams import TRIES, Seams
from tests.models.odd import ODD

TURN = "<|im_start|>assistant\n"
odd_text = st.lists(st.sampled_from(ODD), max_size=8).map("".join)


class Words:
    """A tokenizer that joins line breaks with one another, and with a full stop before them."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.ids: dict[str, int] = {}

    async def encode(self, text: str) -> list[int]:
        self.asked.append(text)
        pieces = re.findall(r"[.]?\n+|\w+|\s|[^\w\s]", text)
        return [self.ids.setdefault(piece, len(self.ids)) for piece in pieces]


@pytest.mark.parametrize(
    ("parts", "clean"),
    [
        ([TURN, "one\n\n"], True),
        ([TURN, "\none\n\n"], False),
        (["a", "", "b"], False),
        (["a", " ", "b"], True),
        (["one", "\n\n", "two"], True),
        (["one.", "\n\n", "two"], False),
        (["one", "\n\n", "\ntwo"], False),
        (["", "one"], True),
        (["one"], True),
        ([], True),
    ],
)
def test_a_seam_is_clean_if_the_tokens_stay_the_same(parts: list[str], clean: bool) -> None:
    """Each is compared by the tokenizer itself; a short part is seen with both its neighbours."""
    assert asyncio.run(Seams(Words().encode).are_clean(parts)) is clean


def test_a_seam_is_checked_once() -> None:
    """What is farther away than the window does not matter."""
    words = Words()

    async def run() -> None:
        seams = Seams(words.encode)
        for further in ("", "x", "y"):
            assert await seams.are_clean([further + "z " * 40, "a " * 40 + further])

    asyncio.run(run())
    assert len(words.asked) == 3


def test_a_tokenizer_whose_seams_are_unclean_is_not_asked_forever() -> None:
    """Most steps end with a full stop, and most tokenizers join it with the line breaks: ids are sent then."""
    words = Words()

    async def run() -> None:
        seams = Seams(words.encode)
        for i in range(1000):
            assert not await seams.are_clean([f"step {i}.", "\n\n", "next"])

    asyncio.run(run())
    assert len(words.asked) <= 5 * TRIES


@pytest.fixture(scope="module")
def smollm(tiny_weights: Path) -> Iterator[EmbeddedLlamaCpp]:
    model = EmbeddedLlamaCpp(tiny_weights, slots=1, context=256, threads=1)
    yield model
    background.run(model.aclose())


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(response=odd_text, problem=odd_text, later=odd_text)
def test_a_real_tokenizer_agrees(smollm: EmbeddedLlamaCpp, response: str, problem: str, later: str) -> None:
    """SmolLM2's: where the seams are said to be clean, the whole text has the tokens of its parts."""

    async def run() -> None:
        server = ModelServer(await smollm.url())

        async def encode(text: str) -> list[int]:
            body = {"content": text, "add_special": False, "parse_special": True}
            return (await server.post("/tokenize", body, TokenIds)).tokens

        try:
            for parts in (
                [f"<|im_start|>user\n{problem}<|im_end|>\n{TURN}", response],
                [f"<|endoftext|>{problem}\n", response, "\n\n", later, "\n\n"],
            ):
                if await Seams(encode).are_clean(parts):
                    apart = [token for part in parts for token in (await encode(part) if part else [])]
                    assert await encode("".join(parts)) == apart
        finally:
            await server.aclose()

    background.run(run())


def test_a_real_template_has_clean_seams(smollm: EmbeddedLlamaCpp) -> None:
    """An ordinary response after an ordinary template goes as text: the check is of use."""

    async def run() -> bool:
        server = ModelServer(await smollm.url())

        async def encode(text: str) -> list[int]:
            body = {"content": text, "add_special": False, "parse_special": True}
            return (await server.post("/tokenize", body, TokenIds)).tokens

        try:
            return await Seams(encode).are_clean([f"<|im_end|>\n{TURN}", "First, we add.\n\n"])
        finally:
            await server.aclose()

    assert background.run(run())
