import asyncio

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from rsd_graph import Generation, Step
from rsd_graph.control_tokens import BREAK
from rsd_graph.rewards.families import score_last_step
from rsd_graph.rewards.families.skywork import skywork
from rsd_graph.rewards.prm import ProcessReward, problem_text, step_texts
from tests.rewards.families.characters import Characters


def test_a_step_that_was_cut_goes_on_in_the_next() -> None:
    """A reward model sees whole steps."""
    steps = [Step("a", "draft"), Step("b", "target", finish="length"), Step("c", "draft", finish="length")]
    assert step_texts(steps, Generation("d", "eos")) == ["a", "bcd"]
    assert step_texts(steps[:1], Generation("d", "length")) == ["a", "d"]


def test_a_process_reward_scores_each_candidate() -> None:
    """As the step after those that are kept."""
    backend = Characters(0.0)
    candidates = [Generation("x", "delimiter"), Generation("y", "eos")]
    scores = asyncio.run(ProcessReward(skywork, backend).score([HumanMessage("p")], [Step("a", "draft")], candidates))
    assert [each.reward for each in scores] == [0.5, 0.5]
    assert backend.prompt.startswith("<|endoftext|>p\na\n")


@pytest.mark.parametrize(
    ("kind", "marker", "markers"),
    [("math-shepherd", "ки", ["ки", "+", " -"]), ("qwen-prm", "<extra_0>", ["<extra_0>"])],
)
def test_a_step_cannot_pass_for_a_marker(kind: str, marker: str, markers: list[str]) -> None:
    """Neither can the problem: only the family's own marks count."""
    backend = Characters(0.0, 0.0, markers=markers)
    reward = ProcessReward(score_last_step(kind), backend)
    step = Generation(f"2 {marker} 3", "eos")
    asyncio.run(reward.score([HumanMessage(f"a {marker} b")], [], [step]))
    assert backend.prompt.count(marker) == 1
    assert backend.prompt.replace(BREAK, "").count(marker) == 3
    trusting = ProcessReward(score_last_step(kind), backend, neutralize_control_tokens=False)
    asyncio.run(trusting.score([HumanMessage("<s>")], [], [step]))
    assert backend.prompt.count(marker) == 1
    assert "<s>" in backend.prompt


def test_the_conversation_before_the_problem_is_part_of_it() -> None:
    """A question that refers to an earlier one is not scored without it; instructions to the writers are left out."""
    messages = [
        SystemMessage("Think."),
        HumanMessage("She buys 3 apples at 2 dollars."),
        AIMessage("6 dollars."),
        HumanMessage("And if she buys 5?"),
    ]
    assert problem_text(messages) == (
        "User: She buys 3 apples at 2 dollars.\n\nAssistant: 6 dollars.\n\nUser: And if she buys 5?"
    )
    assert problem_text([messages[0], messages[3]]) == "And if she buys 5?"
