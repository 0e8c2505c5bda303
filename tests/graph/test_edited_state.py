import asyncio
import json
from dataclasses import asdict, is_dataclass
from typing import Any

import pytest
from langchain_core.messages import BaseMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import BaseModel

from rsd_graph import Generation, RSDSettings, Step, TokenUsage, Usage, build_rsd_graph, create_rsd_graph
from rsd_graph._internal.restore import edited, restored
from rsd_graph.errors import InvalidProblemError, InvalidStateError
from rsd_graph.testing import ScriptedModel, ScriptedReward
from tests.graph.scripts import thread


def as_json(value: Any) -> Any:
    """What a client of the LangGraph API gets, and sends back."""
    if isinstance(value, BaseModel):
        return value.model_dump()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, list | tuple):
        return [as_json(each) for each in value]
    return {key: as_json(each) for key, each in value.items()} if isinstance(value, dict) else value


def two_steps(**options: Any) -> Any:
    """A graph whose draft writes `a`, which is kept, and `b`, which the target replaces with `t`."""

    def draft(_: Any, response: str, __: Any) -> Generation:
        return Generation("b" if response else "a", "delimiter", TokenUsage(5, 2, 3), logprobs=(-0.5, -0.25))

    target = ScriptedModel([Generation("t", "eos", TokenUsage(7, 1, 2))])
    reward = ScriptedReward(lambda _, candidate: 0.75 if candidate.text == "a" else 0.25)
    return build_rsd_graph(ScriptedModel(draft), target, reward).compile(checkpointer=InMemorySaver(), **options)


def finished() -> tuple[Any, Any]:
    """The graph and the output of its run with a history, whose checkpoints the tests edit."""
    graph = two_steps()
    question = {"problem": "p", "history": [("user", "hello"), ("assistant", "hi")]}
    return graph, graph.invoke(question, thread(), context={"threshold": 0.5, "delimiter": "##"})


def before(graph: Any, node: str, steps: int = 1) -> Any:
    """The checkpoint of the finished run from which this node comes next."""
    return next(
        each
        for each in graph.get_state_history(thread())
        if each.next == (node,) and len(each.values["steps"]) == steps
    )


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_whole_state_may_come_back_as_json(asynchronous: bool) -> None:
    """Unchanged, at every checkpoint: the state holds records again, and the run ends as it did."""
    graph, out = finished()
    seen = set()
    for checkpoint in [each for each in graph.get_state_history(thread()) if each.values]:
        sent = json.loads(json.dumps(as_json(checkpoint.values)))
        if asynchronous:
            fork = asyncio.run(graph.aupdate_state(checkpoint.config, sent))
        else:
            fork = graph.update_state(checkpoint.config, sent)
        state = graph.get_state(fork)
        assert (state.values, state.next) == (checkpoint.values, checkpoint.next)
        if state.next:
            seen.update(state.next)
            assert (asyncio.run(graph.ainvoke(None, fork)) if asynchronous else graph.invoke(None, fork)) == out
    assert seen == {"draft", "score", "target", "check"}


@pytest.mark.parametrize(
    ("node", "edit", "expected"),
    [
        ("score", {"proposal": {"text": "x", "finish": "eos"}}, "a##t"),
        ("check", {"proposal": {"text": "x", "finish": "eos", "usage": {"completion": 4}, "logprobs": None}}, "a##x"),
        ("check", {"steps": [{"text": "y", "author": "target"}]}, "y##t"),
        ("check", {"steps": []}, "t"),
        ("target", {"usage": {}}, "a##t"),
        ("target", {"usage": None}, "a##t"),
        ("target", {"usage": {"draft": {"prompt": 3}, "reward": None}}, "a##t"),
        ("draft", {"settings": {"delimiter": "--"}}, "a--t"),
        ("draft", {"conversation": [{"type": "human", "content": "q"}]}, "a##t"),
        ("draft", {"conversation": [HumanMessage("q")]}, "a##t"),
    ],
)
def test_a_value_edited_as_json_becomes_a_record(node: str, edit: Any, expected: str) -> None:
    """Keys that are left out have their defaults; the output, and every stream on the way, shows records."""
    graph, _ = finished()
    fork = graph.update_state(before(graph, node).config, edit)
    *_, out = list(graph.stream(None, fork, stream_mode="values"))
    assert out["response"] == expected
    assert isinstance(out["usage"], Usage)
    assert all(isinstance(each, Step) for each in out["steps"])
    assert all(isinstance(each, BaseMessage) for each in graph.get_state(thread()).values["conversation"])


def test_the_log_probabilities_of_a_checkpoint_are_a_tuple() -> None:
    """As typed; a checkpointer makes a list of them."""
    graph, _ = finished()
    proposal = before(graph, "target").values["proposal"]
    assert proposal == Generation("b", "delimiter", TokenUsage(5, 2, 3), (-0.5, -0.25))
    assert isinstance(proposal.logprobs, tuple)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"reward": 7}, r"reward: .* got 7"),
    ({"reward": -0.1}, "reward"),
    ({"reward": float("nan")}, "reward"),
    ({"reward": True}, "reward"),
    ({"reward": "0.5"}, "reward"),
    ({"author": "me"}, r"author: .*'draft', 'target' or 'tool', got 'me'"),
    ({"author": None}, "author"),
    ({"stop": "tired"}, "stop"),
    ({"response": None}, "response"),
    ({"answer": 4}, "answer"),
    ({"proposal": {"text": "x", "finish": "stop"}}, r"proposal\.finish: .* got 'stop'"),
    ({"proposal": {"text": "x"}}, r"proposal\.finish: field required"),
    ({"proposal": {"text": 3, "finish": "eos"}}, r"proposal\.text"),
    ({"proposal": {"text": "x", "finish": "eos", "logprobs": ["a"]}}, r"proposal\.logprobs\.0"),
    ({"proposal": {"text": "x", "finish": "eos", "color": "red"}}, r"proposal\.color"),
    ({"proposal": "x"}, "proposal"),
    ({"proposal": Generation("x", "stop")}, r"proposal\.finish"),  # type: ignore[arg-type]  # what is tested
    ({"steps": [{"text": "x", "author": "me"}]}, r"steps\.0\.author"),
    ({"steps": [Step("x", "draft"), Step("y", "draft", 1.5)]}, r"steps\.1\.reward"),
    ({"steps": [{"text": "x", "author": "draft", "tokens": -1}]}, r"steps\.0\.tokens"),
    ({"steps": {"text": "x", "author": "draft"}}, "steps"),
    ({"steps": None}, "steps"),
    ({"steps": ["x"]}, r"steps\.0"),
    ({"usage": {"draft": {"prompt": -3}}}, r"usage\.draft\.prompt: .* got -3"),
    ({"usage": {"draft": {"prompt": 1.5}}}, r"usage\.draft\.prompt"),
    ({"usage": {"draft": {"prompt": True}}}, r"usage\.draft\.prompt"),
    ({"usage": {"drafts": {}}}, r"usage\.drafts"),
    ({"usage": Usage(discarded=-1)}, r"usage\.discarded"),
    ({"usage": []}, "usage"),
    ({"settings": {"threshold": 5}}, r"settings\.threshold: .* got 5"),
    ({"settings": {"treshold": 0.5}}, r"settings\.treshold"),
    ({"settings": None}, "settings"),
    ({"settings": RSDSettings().model_copy(update={"max_steps": 0})}, r"settings\.max_steps"),
    ({"rewrad": 0.5}, "rewrad"),
]


@pytest.mark.parametrize(("edit", "message"), WRONG)
def test_a_wrong_value_is_refused_by_name(edit: Any, message: str) -> None:
    """Where it is edited, whichever node comes next; nothing of it stays, and the run resumes as before."""
    graph, out = finished()
    for node in ("draft", "score", "target", "check"):
        checkpoint = before(graph, node)
        with pytest.raises(InvalidStateError, match=message):
            graph.update_state(checkpoint.config, edit)
        with pytest.raises(InvalidStateError, match=message):
            asyncio.run(graph.aupdate_state(checkpoint.config, edit))
        with pytest.raises(InvalidStateError, match=message):
            graph.invoke(Command(update=edit), checkpoint.config)
        assert graph.invoke(None, checkpoint.config) == out


@pytest.mark.parametrize(
    "messages",
    [
        "hello",
        [5],
        None,
        [{"role": "user"}],
        {"role": "user", "content": "x"},
        [],
        [{"role": "system", "content": "x"}],
    ],
)
def test_a_conversation_that_asks_nothing_is_refused(messages: Any) -> None:
    """By name, too; no model could answer it."""
    graph, _ = finished()
    with pytest.raises((InvalidStateError, InvalidProblemError), match="conversation"):
        graph.update_state(before(graph, "draft").config, {"conversation": messages})


def test_a_command_may_carry_json_too() -> None:
    """Resuming with an update is an edit."""
    graph, _ = finished()
    update = {"usage": {}, "reward": 1}
    out = graph.invoke(Command(update=update), before(graph, "target").config)
    assert (out["steps"][1].reward, out["usage"].reward) == (1.0, TokenUsage())


def test_an_old_checkpoint_with_json_in_it_is_read() -> None:
    """Nodes read what is there, even where no edit of this version wrote it; a wrong value is named."""
    assert restored(
        {"proposal": {"text": "x", "finish": "eos"}, "usage": {}, "steps": [asdict(Step("a", "draft"))]}
    ) == {
        "proposal": Generation("x", "eos"),
        "usage": Usage(),
        "steps": [Step("a", "draft")],
    }
    with pytest.raises(InvalidStateError, match="reward"):
        restored({"reward": 7})


def test_records_are_not_read_again() -> None:
    """A long run would pay for it at every node; the lists stay the same objects."""
    state = {"steps": [Step("a", "draft")] * 3, "conversation": [HumanMessage("p")], "usage": Usage()}
    assert all(restored(state)[key] is value for key, value in state.items())


def test_an_edit_changes_only_what_it_names() -> None:
    """Settings in part, and a record's own defaults."""
    assert edited({"settings": {"seed": 3}})["settings"].model_fields_set == {"seed"}
    graph, _ = finished()
    fork = graph.update_state(before(graph, "target").config, {"settings": {"seed": 3}})
    assert graph.get_state(fork).values["settings"] == RSDSettings(threshold=0.5, delimiter="##", seed=3)


def test_a_thread_without_a_run_has_nothing_to_edit() -> None:
    """A clear refusal, from the edit or from the run that was to follow."""
    graph = two_steps()
    with pytest.raises(InvalidProblemError, match="pass `problem`"):
        graph.update_state(thread(), {"reward": 0.5}, as_node="score")
    with pytest.raises(InvalidProblemError, match="pass `problem`"):
        graph.invoke(None, graph.update_state(thread(), {"reward": 0.5}, as_node="draft"))
    with pytest.raises(InvalidProblemError, match="pass `problem`"):
        graph.invoke(None, graph.update_state(thread(), {"steps": []}, as_node="draft"))


def test_a_finished_run_edited_as_json_shows_records() -> None:
    """Even where no node runs after the edit."""
    graph, out = finished()
    graph.update_state(thread(), {"steps": as_json(out["steps"]), "usage": as_json(out["usage"])}, as_node="check")
    values = graph.get_state(thread()).values
    assert (values["steps"], values["usage"]) == (out["steps"], out["usage"])


def test_a_graph_without_a_checkpointer_runs_as_before() -> None:
    """There is nothing to edit, and no cost."""
    model = ScriptedModel([Generation("a", "eos")])
    assert create_rsd_graph(model, model, ScriptedReward([1.0])).invoke({"problem": "p"})["response"] == "a"
