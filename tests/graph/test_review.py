"""A person decides about steps: pauses, answers, and what becomes of them."""

import asyncio
from typing import Any, cast

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command

from rsd_graph import Generation, RSDSettings, Step, create_rsd_graph
from rsd_graph.errors import ConfigurationError, ContextOverflowError
from rsd_graph.latency import faster
from rsd_graph.rewards.confidence import ConfidenceReward
from rsd_graph.testing import ScriptedModel, ScriptedReward
from tests.graph.scripts import step, thread

DRAFTED, WRITTEN = "d{}", "t{}"


def solver(draft_reward: float = 0.2, target_reward: float = 0.4, **options: Any) -> tuple[Any, Any, Any]:
    """A graph whose draft writes d0, d1, d2 and whose target writes t0, t1, t2; and both models."""

    def writes(text: str) -> Any:
        def script(_: Any, response: str, __: Any) -> Generation:
            index = response.count("##")
            return step(text.format(index), "eos" if index == 2 else "delimiter", tokens=len(text))

        return script

    def reward(_: Any, candidate: Generation) -> float:
        return target_reward if candidate.text.startswith("t") else draft_reward

    draft, target = ScriptedModel(writes(DRAFTED)), ScriptedModel(writes(WRITTEN))
    options = {"checkpointer": InMemorySaver(), "settings": RSDSettings(delimiter="##"), **options}
    return create_rsd_graph(draft, target, ScriptedReward(reward), **options), draft, target


def asked(output: Any) -> Any:
    """What a paused run asks."""
    (pause,) = output["__interrupt__"]
    return pause.value


def authors(output: Any) -> list[tuple[str, str]]:
    return [(step.author, step.text) for step in output["steps"]]


def test_a_run_pauses_at_a_rejected_step_and_shows_both() -> None:
    """Both steps with their rewards, the conversation, and what can be answered, with the answer's schema."""
    graph, _, _ = solver()
    output = graph.invoke({"problem": "p"}, thread(), context={"review": "rejected"})
    question = asked(output)
    assert question["reason"] == "rejected"
    assert question["draft"] == {"text": "d0", "reward": 0.2}
    assert question["target"] == {"text": "t0", "reward": 0.4}
    assert question["conversation"][-1] == {"type": "human", "content": "p"}
    assert question["actions"] == ["accept", "draft", "edit", "redraw", "stop"]
    assert output["__interrupt__"][0].response_schema["required"] == ["action"]
    assert output["steps"] == []
    assert graph.get_state(thread()).next == ("review",)


def test_the_answers_decide() -> None:
    """Accept, take the draft's, edit: each step once, tokens of what was thrown away counted, and the run ends."""
    graph, _, _ = solver()
    graph.invoke({"problem": "p"}, thread(), context={"review": "rejected"})
    graph.invoke(Command(resume="accept"), thread())
    question = asked(graph.invoke(Command(resume={"action": "draft"}), thread()))
    assert question["response"] == "t0##d1##"
    output = graph.invoke(Command(resume={"action": "edit", "text": "mine <|im_end|>##"}), thread())
    assert authors(output) == [("target", "t0"), ("draft", "d1"), ("target", "mine <\u200b|im_end|>")]
    assert [step.edited for step in output["steps"]] == [False, False, True]
    assert [step.reward for step in output["steps"]] == [0.2, 0.2, 0.2]
    assert output["stop"] == "eos"
    written = len(DRAFTED)
    assert output["usage"].discarded == written + written + 2 * written  # d0; t1; d2 and t2
    assert output["messages"][-1].text == output["response"]


def test_a_step_is_drawn_again_by_its_author_with_another_seed() -> None:
    """Greedy, it would come out the same: it is sampled. The next step is written as before."""
    graph, draft, target = solver()
    graph.invoke({"problem": "p"}, thread(), context={"review": "rejected"})
    for answer in ({"action": "redraw"}, {"action": "redraw"}, {"action": "redraw", "seed": 7}):
        assert asked(graph.invoke(Command(resume=answer), thread()))["step"] == 0
    asked_for = [settings for _, _, settings in target.calls]
    assert len({settings.seed for settings in asked_for}) == len(asked_for) == 4
    assert [settings.temperature for settings in asked_for] == [0, 0.7, 0.7, 0.7]
    output = graph.invoke(Command(resume="accept"), thread())
    assert output["usage"].discarded == 5 * len(DRAFTED)  # d0, three of t0, and d1
    assert (target.calls[-1][2].temperature, len(draft.calls)) == (0, 2)


def test_the_run_ends_before_the_step() -> None:
    """The steps kept so far are the response."""
    graph, _, _ = solver()
    graph.invoke({"problem": "p"}, thread(), context={"review": "rejected"})
    graph.invoke(Command(resume="accept"), thread())
    output = graph.invoke(Command(resume="stop"), thread())
    assert (output["stop"], output["response"]) == ("stopped", "t0")
    assert graph.get_state(thread()).next == ()


def test_every_step_can_be_reviewed() -> None:
    """A draft's step that was accepted has no other to choose; drawn again, it is scored again."""
    graph, draft, _ = solver(draft_reward=0.9)
    question = asked(graph.invoke({"problem": "p"}, thread(), context={"review": "all"}))
    assert (question["reason"], question["target"]) == ("every_step", None)
    assert "draft" not in question["actions"]
    graph.invoke(Command(resume="redraw"), thread())
    assert len(draft.calls) == 2
    for _ in range(2):
        graph.invoke(Command(resume="accept"), thread())
    output = graph.invoke(Command(resume={"action": "edit", "text": "the end"}), thread())
    assert authors(output) == [("draft", "d0"), ("draft", "d1"), ("draft", "the end")]
    assert output["stop"] == "eos"


def test_a_low_reward_of_the_target_pauses() -> None:
    """The target's steps are scored; a reward at the bound is not below it."""
    graph, _, _ = solver(target_reward=0.3)
    output = graph.invoke({"problem": "p"}, thread("1"), context={"interrupt_below": 0.3})
    assert output["stop"] == "eos"
    question = asked(graph.invoke({"problem": "p"}, thread("2"), context={"interrupt_below": 0.31}))
    assert (question["reason"], question["target"]["reward"]) == ("low_reward", 0.3)


@pytest.mark.parametrize(
    "answer",
    ["yes", {"seed": 1}, {"action": "edit"}, {"action": "edit", "text": " \n"}, {"action": "accept", "text": "x"}, 3,
     {"action": "stop", "seed": 1}, {"action": "redraw", "seed": -1}, {"action": "draft", "more": 1}, ["accept"]],
)  # fmt: skip
def test_a_wrong_answer_is_told_and_asked_for_again(answer: Any) -> None:
    graph, _, target = solver()
    graph.invoke({"problem": "p"}, thread(), context={"review": "rejected"})
    question = asked(graph.invoke(Command(resume=answer), thread()))
    assert question["error"]
    assert asked(graph.invoke(Command(resume="accept"), thread()))["step"] == 1
    assert len(target.calls) == 2


def test_a_review_needs_a_checkpointer() -> None:
    """Told before any model is asked; a parent's checkpointer is one."""
    graph, draft, _ = solver(checkpointer=None)
    with pytest.raises(ConfigurationError, match="checkpointer"):
        graph.invoke({"problem": "p"}, context={"review": "all"})
    assert draft.calls == []


def test_a_node_of_a_parent_pauses_the_parent() -> None:
    solver_of_parent, _, _ = solver(checkpointer=None, settings=RSDSettings(review="rejected", delimiter="##"))
    builder: Any = StateGraph(MessagesState)
    builder.add_node("solver", solver_of_parent)
    builder.add_edge(START, "solver")
    builder.add_edge("solver", END)
    parent = builder.compile(checkpointer=InMemorySaver())
    output = parent.invoke({"messages": [("user", "p")]}, thread())
    while "__interrupt__" in output:
        assert asked(output)["kind"] == "review"
        output = parent.invoke(Command(resume="draft"), thread())
    assert output["messages"][-1].text == "d0##d1##d2"


def test_what_the_target_writes_is_not_shown_before_it_is_kept() -> None:
    """No piece of the response is ever taken back."""
    graph, _, _ = solver()

    async def pieces(given: Any) -> list[str]:
        stream = graph.astream(given, thread(), stream_mode="messages", context={"review": "rejected"})
        return [message.text async for message, _ in stream if message.text]

    assert asyncio.run(pieces({"problem": "p"})) == []
    assert asyncio.run(pieces(Command(resume="draft"))) == ["d0"]


def test_a_target_that_no_context_can_score_is_shown_without_a_reward() -> None:
    class Full(ScriptedReward):
        async def score(self, messages: Any, steps: Any, candidates: Any) -> Any:
            if candidates[0].text.startswith("t"):
                raise ContextOverflowError("full")
            return await super().score(messages, steps, candidates)

    target = ScriptedModel([step("t", "eos")])
    graph = create_rsd_graph(ScriptedModel([step("d")]), target, Full([0.1]), checkpointer=InMemorySaver())
    output = graph.invoke({"problem": "p"}, thread(), context={"review": "rejected", "interrupt_below": 0.5})
    assert asked(output)["target"] == {"text": "t", "reward": None}


def test_wrappers_for_latency_change_nothing() -> None:
    """They do not work ahead of what only a review scores."""
    plain, _, _ = solver()
    graph, draft, target = solver()
    reward = ScriptedReward(lambda _, each: 0.4 if each.text.startswith("t") else 0.2)
    wrapped = create_rsd_graph(
        *faster(draft, target, reward, ahead=True, warm=True),
        checkpointer=InMemorySaver(),
        settings=graph.builder.defaults,
    )
    outputs = []
    for each in (plain, wrapped):
        output = each.invoke({"problem": "p"}, thread(), context={"review": "rejected"})
        questions = []
        for answer in ("draft", "accept", {"action": "edit", "text": "mine"}):
            questions.append(asked(output))
            output = each.invoke(Command(resume=answer), thread())
        outputs.append((questions, authors(output), output["stop"]))
    assert outputs[0] == outputs[1]


def test_a_reward_that_reads_log_probabilities_gets_the_targets() -> None:
    said = Generation("t", "eos", logprobs=(-0.5,))
    graph = create_rsd_graph(
        ScriptedModel([Generation("d", "eos", logprobs=(-30.0,))]),
        ScriptedModel([said]),
        ConfidenceReward(),
        checkpointer=InMemorySaver(),
    )
    question = asked(graph.invoke({"problem": "p"}, thread(), context={"review": "rejected"}))
    assert 0 < question["draft"]["reward"] < question["target"]["reward"]


def test_a_review_is_drawn_where_the_graph_is_made_for_one() -> None:
    def edges(**settings: Any) -> set[tuple[str, str]]:
        graph, _, _ = solver(settings=RSDSettings(**settings))
        return {(edge.source, edge.target) for edge in graph.get_graph().edges}

    assert ("target", "score") not in edges()
    reviewed = edges(review="rejected")
    assert reviewed > edges()
    assert {("score", "review"), ("review", "check"), ("review", "target"), ("target", "score")} <= reviewed
    assert edges(interrupt_below=0.2) == reviewed


def test_a_paused_run_goes_on_from_json() -> None:
    """What the LangGraph API gives back: plain values where there were records."""
    graph, _, _ = solver()
    graph.invoke({"problem": "p"}, thread(), context={"review": "rejected"})
    values = graph.get_state(thread()).values
    assert cast("Generation", values["rejected"]).text == "d0"
    edit = {"rejected": {"text": "other", "finish": "delimiter"}, "target_reward": 0.5}
    graph.update_state(thread(), edit, as_node="score")
    question = asked(graph.invoke(None, thread()))
    assert (question["draft"]["text"], question["target"]["reward"]) == ("other", 0.5)
    output = graph.invoke(Command(resume="draft"), thread())
    assert output["steps"] == [Step("other", "draft", 0.2)]
