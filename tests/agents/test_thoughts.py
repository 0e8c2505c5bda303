from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsd_graph.agents.thoughts import ThoughtSplitter


def split(pieces: list[str], *, thinking: bool = False) -> tuple[str, str]:
    splitter = ThoughtSplitter(thinking=thinking)
    said = [each for piece in pieces for each in splitter.feed(piece)] + list(splitter.end())
    text, reasoning = ("".join(part for kind, part in said if kind == wanted) for wanted in ("text", "reasoning"))
    return text, reasoning


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain < 3 and [1, 2]", ("plain < 3 and [1, 2]", "")),
        ("<think>so</think>yes", ("yes", "so")),
        ("a<THINKING> so </thinking >b", ("ab", " so ")),
        ("<think>one <think>two</think> three</think>four", ("four", "one two three")),
        ("[THINK]so[/THINK]yes", ("yes", "so")),
        ("<think>never closed", ("", "never closed")),
        ("ends with <thi", ("ends with <thi", "")),
    ],
)
def test_thoughts_are_told_from_text(text: str, expected: tuple[str, str]) -> None:
    """Whole, and one character at a time."""
    assert split([text]) == split(list(text)) == expected


@given(st.lists(st.sampled_from(["<think>", "</think>", "<", "thi", "nk>", "a b", "[", "/"]), max_size=9), st.data())
def test_how_the_text_is_cut_does_not_matter(parts: list[str], data: st.DataObject) -> None:
    """Any pieces, the same result."""
    text = "".join(parts)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)) | {0, len(text)})
    assert split([text[start:end] for start, end in pairwise(cuts)]) == split([text])


def test_a_response_may_begin_within_a_thought() -> None:
    """Where the chat template has opened it."""
    assert split(["so</th", "ink>yes"], thinking=True) == ("yes", "so")
