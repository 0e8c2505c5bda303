import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsd_graph.gateway.thinking import Piece, Thoughts


def split(*pieces: str) -> list[Piece]:
    thoughts = Thoughts()
    return [*(piece for text in pieces for piece in thoughts.feed(text)), *thoughts.end()]


@pytest.mark.parametrize(
    ("text", "content", "reasoning"),
    [
        ("It is 4.", "It is 4.", ""),
        ("<think>Hm.</think>\n\nIt is 4.", "It is 4.", "Hm."),
        ("<think>\nHm.", "", "Hm."),
        ("<think></think>4", "4", ""),
        ("a <think>b</think> c <think>d</think>", "a c ", "bd"),
        ("1 < 2 and <thin> ice", "1 < 2 and <thin> ice", ""),
        ("ends with <thi", "ends with <thi", ""),
    ],
)
def test_thoughts_are_told_apart(text: str, content: str, reasoning: str) -> None:
    """In one piece, and in pieces of one character."""
    for pieces in ([text], list(text)):
        said = split(*pieces)
        assert "".join(piece.text for piece in said if piece.kind == "content") == content
        assert "".join(piece.text for piece in said if piece.kind == "reasoning") == reasoning


@given(st.lists(st.text("<think>/ \n", max_size=12), max_size=8))
def test_the_cuts_do_not_matter(pieces: list[str]) -> None:
    """The same text, in whichever pieces, is split in the same places; no piece is empty."""

    def joined(said: list[Piece]) -> list[tuple[str, str]]:
        assert all(piece.text for piece in said)
        kinds: list[tuple[str, str]] = []
        for kind, text in said:
            if kinds and kinds[-1][0] == kind:
                kinds[-1] = (kind, kinds[-1][1] + text)
            else:
                kinds.append((kind, text))
        return kinds

    assert joined(split(*pieces)) == joined(split("".join(pieces)))
