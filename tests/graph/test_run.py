from typing import Any

import numpy as np
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage

from rsd_graph import Step, TokenUsage, Usage, create_rsd_graph
from rsd_graph.errors import RewardError
from rsd_graph.testing import ScriptedModel, ScriptedReward
from tests.graph.scripts import KEEP, REWRITE, step


def test_the_output_holds_what_the_contract_names() -> None:
    """Response, answer, steps with author and reward, stop and usage; and the message, which has its own tests."""
    draft = ScriptedModel([step("2+2 is 5", tokens=5), step(r"so \boxed{4}", "eos", tokens=6)])
    target = ScriptedModel([step("2+2 is 4", tokens=7)])
    out = create_rsd_graph(draft, target, ScriptedReward([0.2, 0.9])).invoke({"problem": "2+2?"})
    assert [message.text for message in out.pop("messages")] == [out["response"]]
    assert out == {
        "response": "2+2 is 4\n\nso \\boxed{4}",
        "answer": "4",
        "steps": [
            Step("2+2 is 4", "target", 0.2, "delimiter", 7),
            Step(r"so \boxed{4}", "draft", 0.9, "eos", 6),
        ],
        "stop": "eos",
        "usage": Usage(
            draft=TokenUsage(prompt=20, completion=11),
            target=TokenUsage(prompt=10, completion=7),
            discarded=5,
            question=10,
            response=13,
        ),
    }


def test_the_models_see_conversation_and_exact_prefix() -> None:
    """System prompt, history, problem; and every kept step followed by the delimiter, untrimmed."""
    draft = ScriptedModel([step(" one "), step("two", "eos")])
    history: list[AnyMessage] = [HumanMessage("hello"), AIMessage("hi")]
    graph = create_rsd_graph(draft, draft, ScriptedReward([KEEP]))
    graph.invoke({"problem": "p", "history": history}, context={"system_prompt": "think", "delimiter": "##"})
    messages, response, settings = draft.calls[1]
    assert messages == [SystemMessage("think"), *history, HumanMessage("p")]
    assert response == " one ##"
    assert settings.delimiter == "##"


def test_history_may_come_as_json() -> None:
    """An HTTP front end, Studio for one, sends messages as dicts."""
    draft = ScriptedModel([step("x", "eos")])
    history: Any = [{"role": "user", "content": "hello"}, {"type": "ai", "content": "hi"}]
    create_rsd_graph(draft, draft, ScriptedReward([KEEP])).invoke({"problem": "p", "history": history})
    assert draft.calls[0][0][1:] == [HumanMessage("hello"), AIMessage("hi"), HumanMessage("p")]


def test_no_system_prompt_is_no_system_message() -> None:
    """An empty system prompt leaves the conversation without one."""
    draft = ScriptedModel([step("x", "eos")])
    create_rsd_graph(draft, draft, ScriptedReward([KEEP])).invoke({"problem": "p"}, context={"system_prompt": ""})
    assert draft.calls[0][0] == [HumanMessage("p")]


def test_every_call_has_a_sampling_seed_of_its_own() -> None:
    """Draft and target, and one step and the next, do not share random numbers; a second run repeats them."""
    seeds = []
    for _ in range(2):
        draft, target = ScriptedModel([step("d")]), ScriptedModel([step("t")])
        create_rsd_graph(draft, target, ScriptedReward([REWRITE])).invoke({"problem": "p"}, context={"max_steps": 3})
        seeds.append([call[2].seed for call in draft.calls + target.calls])
    assert len(set(seeds[0])) == 6
    assert seeds[0] == seeds[1]


def test_a_blank_draft_goes_to_the_target_unscored() -> None:
    """An empty step is not kept, even if the reward model accepts everything."""
    reward = ScriptedReward([RewardError("asked about nothing")])
    out = create_rsd_graph(ScriptedModel([step("")]), ScriptedModel([step("real", "eos")]), reward).invoke(
        {"problem": "p"}
    )
    assert out["steps"] == [Step("real", "target", None, "eos")]


def test_the_token_limit_bounds_the_last_step() -> None:
    """A step may take what the run has left, and no more than a step's own limit."""
    draft = ScriptedModel([step("a", "length", tokens=6)])
    graph = create_rsd_graph(draft, draft, ScriptedReward([KEEP]))
    out = graph.invoke({"problem": "p"}, context={"max_tokens": 10, "max_step_tokens": 6})
    assert [call[2].max_step_tokens for call in draft.calls] == [6, 4]
    assert out["response"] == "aa"


def test_any_real_number_is_a_reward() -> None:
    """A user's own process reward model may return NumPy's numbers; the kept reward is a float."""
    reward: Any = np.float32(0.75)
    graph = create_rsd_graph(ScriptedModel([step("a", "eos")]), ScriptedModel([step("t")]), ScriptedReward([reward]))
    (kept,) = graph.invoke({"problem": "p"})["steps"]
    assert (kept.reward, type(kept.reward)) == (0.75, float)
