from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from rsd_graph import Generation, RSDSettings, Step, TokenUsage, Usage
from rsd_graph.errors import ContextOverflowError, InvalidProblemError, ModelError, ModelTimeoutError
from rsd_graph.nodes import draft_node
from rsd_graph.testing import ScriptedModel
from tests.nodes.running import SPENT, run_node, under_way

SAID = Generation("one", "delimiter", TokenUsage(prompt=12, cached=3, completion=5), logprobs=(-0.5, -0.1))
OPENED: dict[str, Any] = {"steps": [], "response": "", "answer": None, "stop": None}


def test_a_problem_opens_the_run() -> None:
    """The first call builds the conversation, empties the state, and reports the tokens of the bare question."""
    model = ScriptedModel([SAID])
    update, events = run_node(draft_node(model), {"problem": "p"}, RSDSettings(system_prompt="think"))
    conversation = [SystemMessage("think"), HumanMessage("p")]
    assert update.pop("message_id")
    assert update == {
        **OPENED,
        "conversation": conversation,
        "proposal": SAID,
        "author": "draft",
        "reward": None,
        "usage": Usage(draft=SAID.usage, question=12),
    }
    assert events == [{"event": "proposed", "step": 0, "text": "one", "finish": "delimiter", "tokens": 5}]
    assert [call[:2] for call in model.calls] == [(conversation, "")]


def test_a_problem_replaces_what_an_earlier_run_left() -> None:
    """On a thread with a finished run, neither its steps nor its tokens, reward or stop reason remain."""
    earlier = under_way(Step("old", "target", tokens=9), stop="max_steps", answer="1", response="old", reward=0.4)
    model = ScriptedModel([SAID])
    update, events = run_node(draft_node(model), {**earlier, "problem": "new"})
    assert {key: update[key] for key in OPENED} == OPENED
    assert update["conversation"][-1] == HumanMessage("new")
    assert update["reward"] is None
    assert update["usage"] == Usage(draft=SAID.usage, question=12)
    assert events[0]["step"] == 0
    assert model.calls[0][1] == ""


def test_history_stands_between_system_prompt_and_problem() -> None:
    """As messages, or as the dicts that an HTTP front end sends."""
    model = ScriptedModel([SAID])
    history = [HumanMessage("hello"), {"role": "assistant", "content": "hi"}]
    update, _ = run_node(draft_node(model), {"problem": "p", "history": history}, RSDSettings(system_prompt=""))
    assert update["conversation"] == [HumanMessage("hello"), AIMessage("hi"), HumanMessage("p")]


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        ("", r"non-empty text, got ''"),
        (" \n\t", r"non-empty text, got ' \\n\\t'"),
        (None, r"non-empty text, got None"),
        (["p"], r"non-empty text, got \['p'\]"),
        ("a \ud83d", "unpaired surrogate"),
    ],
)
def test_a_problem_that_is_not_text_is_refused(problem: Any, message: str) -> None:
    """The error names the value, and no model is called."""
    model = ScriptedModel([SAID])
    with pytest.raises(InvalidProblemError, match=message):
        run_node(draft_node(model), {"problem": problem})
    assert model.calls == []


def test_a_later_step_adds_to_the_run() -> None:
    """It continues the exact prefix, adds its tokens, and changes nothing that the run has kept."""
    model = ScriptedModel([SAID])
    state = under_way(Step(" a ", "draft", 0.9), Step("b", "target", 0.1), reward=0.1, author="target")
    update, events = run_node(draft_node(model), state)
    assert update == {
        "proposal": SAID,
        "author": "draft",
        "reward": None,
        "usage": SPENT + Usage(draft=SAID.usage),
    }
    assert update["usage"].question == SPENT.question
    assert events == [{"event": "proposed", "step": 2, "text": "one", "finish": "delimiter", "tokens": 5}]
    assert [call[:2] for call in model.calls] == [([HumanMessage("p")], " a \n\nb\n\n")]


@pytest.mark.parametrize("finish", ["delimiter", "eos", "length"])
def test_a_blank_proposal_is_proposed_as_it_is(finish: Any) -> None:
    """Judging it is left to the next nodes; its tokens count all the same."""
    blank = Generation(" ", finish, TokenUsage(prompt=3, completion=1))
    update, events = run_node(draft_node(ScriptedModel([blank])), under_way())
    assert update["proposal"] == blank
    assert update["usage"].draft == SPENT.draft + blank.usage
    assert events == [{"event": "proposed", "step": 0, "text": " ", "finish": finish, "tokens": 1}]


def test_a_full_context_on_the_first_step_still_opens_the_run() -> None:
    """The run ends in order: the state is that of a run without steps, with a reason to stop, and no event."""
    update, events = run_node(draft_node(ScriptedModel([ContextOverflowError("long")])), {"problem": "p"})
    assert update.pop("message_id")
    assert update.pop("conversation")[-1] == HumanMessage("p")
    assert update == {**OPENED, "stop": "context_overflow", "proposal": None, "usage": Usage()}
    assert events == []


def test_a_full_context_on_a_later_step_stops_the_run() -> None:
    """Steps and usage stay as they were."""
    state = under_way(Step("a", "draft"))
    update, events = run_node(draft_node(ScriptedModel([ContextOverflowError("long")])), state)
    assert update == {"proposal": None, "stop": "context_overflow"}
    assert events == []


def test_any_other_error_leaves_the_node() -> None:
    """A model that cannot answer is not a reason to stop quietly."""
    with pytest.raises(ModelTimeoutError, match="slow"):
        run_node(draft_node(ScriptedModel([ModelTimeoutError("slow")])), under_way())


def test_a_model_that_returns_something_else_is_named() -> None:
    """The draft's candidates are checked like the target's."""

    class Two(ScriptedModel):
        async def generate(self, *_: Any, **__: Any) -> list[Generation]:
            return [SAID, SAID]

    with pytest.raises(ModelError, match=r"pair returned .* one Generation"):
        run_node(draft_node(Two([], name="pair")), under_way())
