from hypothesis import given
from hypothesis import strategies as st

from rsd_graph.agents.stops import StopWatch

pieces = st.lists(st.text("ab.", max_size=4), max_size=8)


@given(pieces, st.lists(st.text("ab.", min_size=1, max_size=3), max_size=3))
def test_the_text_ends_before_the_first_stop_sequence(said: list[str], stops: list[str]) -> None:
    """However it is cut into pieces; without one, all of it is there at the end."""
    watch = StopWatch(stops)
    text = "".join(watch.feed(piece) for piece in said) + watch.end()
    whole = "".join(said)
    # a longer sequence may begin before a shorter one that ends first: the one that is complete first counts
    ends = [place + len(stop) for stop in stops if (place := whole.find(stop)) >= 0]
    assert watch.stopped is bool(ends)
    assert whole.startswith(text)
    if not ends:
        assert text == whole
    else:
        assert not any(stop in text for stop in stops)


def test_text_is_passed_on_at_once() -> None:
    """Only what may become a stop sequence waits."""
    watch = StopWatch(["END", ""])
    assert [watch.feed(piece) for piece in ["an E", "N", "d of it", " E"]] == ["an ", "", "ENd of it", " "]
    assert (watch.end(), watch.stopped) == ("E", False)
