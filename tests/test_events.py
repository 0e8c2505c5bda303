from typing import Any, get_args, get_type_hints

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from rsd_graph import Generation, RSDSettings, TokenUsage, create_rsd_graph
from rsd_graph.events import RSDEvent
from rsd_graph.testing import ScriptedModel, ScriptedReward

KINDS = {get_args(get_type_hints(kind)["event"])[0]: kind for kind in get_args(RSDEvent)}

generations = st.builds(
    Generation,
    st.sampled_from(["", " ", "a", r"\boxed{2}"]),
    st.sampled_from(["delimiter", "delimiter", "length", "eos"]),
    st.builds(TokenUsage, completion=st.integers(0, 9)),
)


@hypothesis_settings(max_examples=60)
@given(
    drafts=st.lists(generations, min_size=1, max_size=6),
    targets=st.lists(generations, min_size=1, max_size=6),
    rewards=st.lists(st.floats(0, 1), min_size=1, max_size=6),
)
def test_events_are_the_records_they_say_they_are(
    drafts: list[Generation], targets: list[Generation], rewards: list[float]
) -> None:
    """Whatever models do: each event has exactly its class's keys and types, in the documented order.

    The events alone describe the run: their kept steps, authors, rewards and end are those of the output.
    """
    graph = create_rsd_graph(ScriptedModel(drafts), ScriptedModel(targets), ScriptedReward(rewards))
    events: list[Any] = []
    out: Any = None
    question: Any = {"problem": "p"}
    for mode, chunk in graph.stream(question, stream_mode=["custom", "values"], context=RSDSettings(max_steps=6)):
        if mode == "custom":
            events.append(chunk)
        else:
            out = chunk
    for event in events:
        assert event.keys() == get_type_hints(KINDS[event["event"]]).keys()
        assert TypeAdapter(KINDS[event["event"]]).validate_python(event, strict=True) == event
    order = ("proposed", "scored", "replaced", "kept")
    assert [event["event"] for event in events if event["event"] not in order] == ["finished"]
    for index in {event["step"] for event in events[:-1]}:
        names = [event["event"] for event in events[:-1] if event["step"] == index]
        assert names == sorted(set(names), key=order.index)
        assert names[:2] == ["proposed", "scored"]
        scored = next(event for event in events if event["event"] == "scored" and event["step"] == index)
        assert ("replaced" in names) is not scored["accepted"]
    kept = [(event["text"], event["author"], event["reward"]) for event in events if event["event"] == "kept"]
    assert kept == [(each.text, each.author, each.reward) for each in out["steps"]]
    assert events[-1] == {"event": "finished", "stop": out["stop"], "answer": out["answer"], "steps": len(out["steps"])}


def test_every_event_has_a_name_of_its_own() -> None:
    """A consumer tells them apart by `event`."""
    assert list(KINDS) == ["proposed", "scored", "replaced", "kept", "finished"]


def test_a_run_needs_no_listener() -> None:
    """The events of a run that is not streamed are dropped."""
    graph = create_rsd_graph(ScriptedModel([Generation("a", "eos")]), ScriptedModel([]), ScriptedReward([1]))
    assert graph.invoke({"problem": "p"})["stop"] == "eos"
