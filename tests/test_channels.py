from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from rsd_graph import RSDSettings, TokenUsage, Usage
from rsd_graph.channels import Appended, Chosen, Growing, Packed, Said, appended, grown
from rsd_graph.state import Counted

TEXTS = st.text(alphabet="ab\n", max_size=8)


@given(TEXTS, TEXTS)
def test_what_is_appended_gives_the_new_value(before: str, now: str) -> None:
    """Whatever changes: a write of the difference is as good as one of the whole."""
    assert grown(before, [appended(before, now)]) == now


@given(TEXTS, st.lists(st.one_of(TEXTS, st.builds(Appended, st.integers(0, 3), TEXTS)), max_size=6), st.integers(0, 6))
def test_writes_may_be_replayed_in_batches(before: str, writes: list[Any], cut: int) -> None:
    """LangGraph replays what several supersteps wrote in one call."""
    assert grown(grown(before, writes[:cut]), writes[cut:]) == grown(before, writes)


def test_only_what_is_new_is_appended() -> None:
    """A step more costs a step; steps that are dropped at the end cost nothing."""
    assert appended([1, 2], [1, 2, 3]) == Appended(2, [3])
    assert appended([1, 2, 3], [1]) == Appended(1, [])
    assert appended([1, 2], [4]) == Appended(0, [4])


def test_a_write_that_came_back_as_json_extends_too() -> None:
    assert grown([1, 2], [{"kept": 1, "new": [3]}]) == [1, 3]
    assert grown("ab", [{"kept": 2, "new": "c"}]) == "abc"


def test_a_growing_value_is_missing_before_its_first_write() -> None:
    """As every other key of the state is."""
    channel = Growing(grown, list).from_checkpoint(None)
    assert not channel.is_available()
    assert channel.update([[1]])
    assert channel.get() == [1]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Counted, Usage(draft=TokenUsage(3, 2, 1), reward=TokenUsage(5), discarded=4, question=6, response=7)),
        (Chosen, RSDSettings(threshold=0.2, seed=7)),
        (Said, [SystemMessage("rules"), HumanMessage("a"), AIMessage("b"), HumanMessage("p", id="1", name="ada")]),
        (Said, [HumanMessage([{"type": "text", "text": "p"}])]),
    ],
)
def test_a_record_comes_back_from_its_plain_values(kind: type[Packed[Any]], value: Any) -> None:
    """And so does one that was stored as it is, as in older threads."""
    channel = kind(object)
    channel.update([value])
    for stored in (channel.checkpoint(), value):
        assert kind(object).from_checkpoint(stored).get() == value


def test_a_bare_message_is_stored_as_its_text() -> None:
    """What else a message may have is kept."""
    named: BaseMessage = HumanMessage("p", id="1")
    assert Said.pack([SystemMessage("rules"), named]) == [("system", "rules"), named]
