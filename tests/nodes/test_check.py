from typing import Any

import pytest

from rsd_graph import Generation, RSDSettings, Step, TokenUsage, Usage
from rsd_graph.nodes import check_node
from rsd_graph.state import MAX_BLANK_STEPS
from tests.nodes.running import SPENT, run_node, under_way

CONTINUES: dict[str, Any] = {"stop": None, "answer": None, "proposal": None}


def test_the_proposal_becomes_a_step() -> None:
    """With its author, the draft's reward, its finish and its tokens; the run continues."""
    state = under_way(Step("a", "draft", 0.9), author="target", reward=0.2)
    update, events = run_node(check_node(), state)
    assert update == {
        **CONTINUES,
        "steps": [Step("a", "draft", 0.9), Step("proposed", "target", 0.2, "delimiter", 4)],
        "response": "a\n\nproposed",
        "usage": SPENT + Usage(response=4),
    }
    assert events == [{"event": "kept", "step": 1, "text": "proposed", "author": "target", "reward": 0.2}]


def test_the_list_of_steps_is_a_new_one() -> None:
    """LangGraph may share the old one with a checkpoint or with a fork of the run."""
    state = under_way(Step("a", "draft"))
    update, _ = run_node(check_node(), state)
    assert state["steps"] == [Step("a", "draft")]
    assert len(update["steps"]) == 2


def test_the_end_of_text_ends_the_run_with_its_answer() -> None:
    """The last step is kept first, then the run is finished, and the answer is read from the whole response."""
    state = under_way(Step(r"\boxed{3}", "draft"), proposal=Generation("so it is", "eos"), reward=0.8)
    update, events = run_node(check_node(), state, RSDSettings(delimiter="##"))
    assert (update["stop"], update["answer"], update["response"]) == ("eos", "3", "\\boxed{3}##so it is")
    assert events == [
        {"event": "kept", "step": 1, "text": "so it is", "author": "draft", "reward": 0.8},
        {"event": "finished", "stop": "eos", "answer": "3", "steps": 2},
    ]


@pytest.mark.parametrize("text", ["", " \n "])
def test_a_blank_end_of_text_adds_no_step(text: str) -> None:
    """The response ends after the last step, without an empty one, and the run has ended as usual."""
    state = under_way(Step("a", "draft", tokens=2), proposal=Generation(text, "eos", TokenUsage(completion=1)))
    update, events = run_node(check_node(), state)
    assert (update["steps"], update["response"]) == ([Step("a", "draft", tokens=2)], "a")
    assert (update["stop"], update["usage"]) == ("eos", SPENT)
    assert events == [{"event": "finished", "stop": "eos", "answer": None, "steps": 1}]


BLANKS = [Step(" ", "target")] * (MAX_BLANK_STEPS - 1)
"""One less than ends a run."""


@pytest.mark.parametrize(("text", "finish"), [("", "delimiter"), ("\n", "delimiter"), ("", "length")])
def test_blank_proposals_in_a_row_are_no_progress(text: str, finish: Any) -> None:
    """Even the target had nothing to say, again and again: the blank steps are dropped, and the run ends."""
    state = under_way(Step("a 5", "draft"), *BLANKS, proposal=Generation(text, finish), author="target")
    update, events = run_node(check_node(), state)
    assert (update["stop"], update["answer"], len(update["steps"])) == ("no_progress", "5", 1)
    assert events == [{"event": "finished", "stop": "no_progress", "answer": "5", "steps": 1}]


@pytest.mark.parametrize(
    ("text", "finish", "response"), [("", "delimiter", "a\n\n"), (" ", "delimiter", "a\n\n "), ("", "length", "a\n\n")]
)
def test_a_blank_proposal_is_kept_for_the_models_to_see(text: str, finish: Any, response: str) -> None:
    """They wrote the delimiter, and may write on after it; nobody is told of a step yet."""
    update, events = run_node(
        check_node(), under_way(Step("a", "draft"), proposal=Generation(text, finish), author="target")
    )
    assert (update["stop"], update["response"]) == (None, response)
    assert update["steps"] == [Step("a", "draft"), Step(text, "target", None, finish)]
    assert events == []


def test_blank_steps_are_told_of_when_a_step_follows_them() -> None:
    """In the order of the steps, so that the events and the output name the same ones."""
    state = under_way(Step("a", "draft"), *BLANKS[:2], reward=0.9)
    update, events = run_node(check_node(), state)
    assert update["response"] == "a\n\n \n\n \n\nproposed"
    assert [(event["step"], event["text"]) for event in events] == [(1, " "), (2, " "), (3, "proposed")]


@pytest.mark.parametrize(
    ("settings", "stop"), [(RSDSettings(max_steps=3), "max_steps"), (RSDSettings(max_tokens=1), "max_tokens")]
)
def test_blank_steps_at_the_end_are_dropped(settings: RSDSettings, stop: str) -> None:
    """Whatever ends the run."""
    state = under_way(Step("a", "draft"), BLANKS[0], proposal=Generation("", "delimiter"), author="target")
    update, _ = run_node(check_node(), state, settings)
    assert (update["stop"], update["steps"], update["response"]) == (stop, [Step("a", "draft")], "a")


def test_a_proposal_that_is_no_longer_accepted_is_left() -> None:
    """A fork after `score` with another threshold: the edge behind this node leads to the target."""
    assert run_node(check_node(), under_way(reward=0.5)) == ({}, [])


def test_white_space_cut_by_a_token_limit_is_kept() -> None:
    """It may be the beginning of a step, and the next one continues it without a delimiter."""
    state = under_way(Step("a", "draft"), proposal=Generation(" ", "length"))
    update, events = run_node(check_node(), state)
    assert (update["response"], update["stop"]) == ("a\n\n ", None)
    assert [event["event"] for event in events] == ["kept"]


def test_a_stop_reason_of_another_node_is_kept() -> None:
    """Nothing is added where a context was full, and the answer is taken from what there is."""
    state = under_way(Step(r"\boxed{7}", "draft"), proposal=None, stop="context_overflow")
    update, events = run_node(check_node(), state)
    assert [message.text for message in update.pop("messages")] == [r"\boxed{7}"]
    assert update == {
        "steps": [Step(r"\boxed{7}", "draft")],
        "response": r"\boxed{7}",
        "usage": SPENT,
        "stop": "context_overflow",
        "answer": "7",
        "proposal": None,
    }
    assert events == [{"event": "finished", "stop": "context_overflow", "answer": "7", "steps": 1}]


@pytest.mark.parametrize(
    ("settings", "stop"),
    [
        (RSDSettings(max_tokens=10), "max_tokens"),
        (RSDSettings(max_tokens=9), "max_tokens"),
        (RSDSettings(max_tokens=11), None),
        (RSDSettings(max_steps=2), "max_steps"),
        (RSDSettings(max_steps=1), "max_steps"),
        (RSDSettings(max_steps=3), None),
        (RSDSettings(max_steps=2, max_tokens=10), "max_tokens"),
    ],
)
def test_a_limit_ends_the_run_when_it_is_reached(settings: RSDSettings, stop: str | None) -> None:
    """Counted after the step is kept, over all kept steps: here two steps of 6 and 4 tokens."""
    update, events = run_node(check_node(), under_way(Step("a", "draft", tokens=6)), settings)
    assert update["stop"] == stop
    assert [event["event"] for event in events] == ["kept", "finished"][: 2 if stop else 1]


def test_the_end_of_text_outranks_a_limit() -> None:
    """A response that is complete at its last allowed step was not cut."""
    state = under_way(proposal=Generation("done", "eos", TokenUsage(completion=50)))
    assert run_node(check_node(), state, RSDSettings(max_steps=1, max_tokens=5))[0]["stop"] == "eos"


def test_there_is_no_answer_before_the_end() -> None:
    """A box in the middle of a response may not be the last one."""
    update, _ = run_node(check_node(), under_way(proposal=Generation(r"\boxed{1}", "delimiter")))
    assert (update["stop"], update["answer"]) == (None, None)
