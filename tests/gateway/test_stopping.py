from hypothesis import given
from hypothesis import strategies as st

from rsd_graph.gateway.stopping import StopTexts

AB = st.text("ab", max_size=30)


def through(stops: StopTexts, pieces: list[str]) -> str:
    return "".join(stops.feed(piece) for piece in pieces) + stops.end()


@given(st.lists(AB, max_size=6), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3))
def test_a_text_is_cut_before_its_first_stop_text(pieces: list[str], texts: list[str]) -> None:
    """However it is cut into pieces."""
    whole = "".join(pieces)
    stops = StopTexts(texts)
    first = min((whole.find(text) for text in texts if text in whole), default=len(whole))
    assert through(stops, pieces) == whole[:first]
    assert stops.found == any(text in whole for text in texts)


def test_only_a_possible_beginning_is_held_back() -> None:
    """The rest is shown at once."""
    stops = StopTexts(["Question:"])
    assert stops.feed("It is 4. Que") == "It is 4. "
    assert stops.feed("en") == "Queen"
