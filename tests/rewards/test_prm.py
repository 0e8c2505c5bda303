import asyncio

from langchain_core.messages import HumanMessage

from rsd_graph import Generation, Step
from rsd_graph.rewards.families.skywork import skywork
from rsd_graph.rewards.prm import ProcessReward, step_texts
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
