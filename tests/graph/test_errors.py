from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import ValidationError

from rsd_graph import Generation, Score, create_rsd_graph
from rsd_graph.errors import InvalidProblemError, ModelError, ModelUnreachableError, RewardError, RSDError
from rsd_graph.testing import ScriptedModel, ScriptedReward
from tests.graph.scripts import KEEP, endless, step


@pytest.mark.parametrize("scores", [None, [], [None], [0.5], [Score(0.5), Score(0.5)]])
def test_a_reward_model_must_answer_with_one_score(scores: Any) -> None:
    """Anything else is named, with what was expected."""

    class Odd:
        name = "odd"

        async def score(self, *_: object) -> Any:
            return scores

    graph = create_rsd_graph(ScriptedModel([step("a")]), ScriptedModel([step("t")]), Odd())
    with pytest.raises(RewardError, match=r"odd returned .* one Score"):
        graph.invoke({"problem": "p"})


@pytest.mark.parametrize("reward", [float("nan"), float("inf"), 1.7, -0.1, None, "high"])
def test_a_value_that_is_no_reward_is_an_error(reward: Any) -> None:
    """NaN, infinity, None and numbers outside [0, 1] are named, never compared."""
    graph = create_rsd_graph(
        ScriptedModel([step("a")]), ScriptedModel([step("t")]), ScriptedReward([reward], name="prm")
    )
    with pytest.raises(RewardError, match=r"prm gave the reward .*\[0, 1\]"):
        graph.invoke({"problem": "p"})


def test_a_model_must_answer_with_one_generation() -> None:
    """A step generator that returns an empty list is named."""

    class Silent:
        name = "silent"

        async def generate(self, *_: object, **__: object) -> list[Generation]:
            return []

    graph = create_rsd_graph(Silent(), Silent(), ScriptedReward([KEEP]))
    with pytest.raises(ModelError, match=r"silent returned \[\], expected"):
        graph.invoke({"problem": "p"})


@pytest.mark.parametrize("problem", ["", "  \n", None, 3, "half a \ud83d"])
def test_a_problem_must_be_text(problem: Any) -> None:
    """An empty problem is refused before any model is asked."""
    draft = ScriptedModel([step("a")])
    with pytest.raises(InvalidProblemError):
        create_rsd_graph(draft, draft, ScriptedReward([KEEP])).invoke({"problem": problem})
    assert draft.calls == []


def test_an_error_carries_the_steps_so_far() -> None:
    """What was done before a server died is not lost."""
    draft = ScriptedModel([step("one"), step("two"), ModelUnreachableError("gone")])
    with pytest.raises(RSDError, match="gone") as caught:
        create_rsd_graph(draft, draft, ScriptedReward([KEEP])).invoke({"problem": "p"})
    assert [each.text for each in caught.value.steps] == ["one", "two"]


def test_an_error_does_not_carry_another_problems_steps() -> None:
    """The steps of an earlier run on the thread are not part of this one's error."""
    draft = ScriptedModel([step("a", "eos"), ModelUnreachableError("gone")])
    graph = create_rsd_graph(draft, draft, ScriptedReward([KEEP]), checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "1"}}
    graph.invoke({"problem": "a"}, thread)
    with pytest.raises(ModelUnreachableError) as caught:
        graph.invoke({"problem": "b"}, thread)
    assert caught.value.steps == ()


def test_settings_out_of_range_are_refused_by_name() -> None:
    """The graph does not start."""
    with pytest.raises(ValidationError, match="threshold"):
        endless().invoke({"problem": "p"}, context={"threshold": 1.5})
