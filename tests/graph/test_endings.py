from typing import Any

import pytest

from rsd_graph import Generation, create_rsd_graph
from rsd_graph.errors import ContextOverflowError
from rsd_graph.testing import ScriptedModel, ScriptedReward
from tests.graph.scripts import KEEP, REWRITE, step


@pytest.mark.parametrize(
    ("proposals", "context", "stop", "steps"),
    [
        ([step("a"), step("b", "eos")], {}, "eos", 2),
        ([step("a"), step("", "eos")], {}, "eos", 1),
        ([step("a")], {"max_steps": 3}, "max_steps", 3),
        ([step("a", tokens=5)], {"max_tokens": 12}, "max_tokens", 3),
        ([step("")], {}, "no_progress", 0),
        ([step(" \n "), step("")], {}, "no_progress", 0),
        ([step("a"), ContextOverflowError("too long")], {}, "context_overflow", 1),
        ([ContextOverflowError("too long")], {}, "context_overflow", 0),
        ([step("a", "length"), step("", "length")], {}, "no_progress", 1),
    ],
)
def test_every_ending_has_its_name(
    proposals: list[Generation | Exception], context: dict[str, Any], stop: str, steps: int
) -> None:
    """The run ends by itself, says why, and keeps no empty step."""
    graph = create_rsd_graph(ScriptedModel(proposals), ScriptedModel([step("")]), ScriptedReward([KEEP]))
    out = graph.invoke({"problem": "p"}, context=context)
    assert (out["stop"], len(out["steps"])) == (stop, steps)
    assert all(each.text.strip() for each in out["steps"])


def test_a_target_whose_context_is_full_ends_the_run() -> None:
    """The steps so far are kept, and the rejected draft is counted as discarded."""
    target = ScriptedModel([ContextOverflowError("too long")])
    out = create_rsd_graph(ScriptedModel([step("a", tokens=4)]), target, ScriptedReward([KEEP, REWRITE])).invoke(
        {"problem": "p"}
    )
    assert (out["stop"], out["response"], out["usage"].discarded) == ("context_overflow", "a", 4)


def test_a_reward_model_whose_context_is_full_ends_the_run() -> None:
    """The stop reason names it, the steps so far are kept, and the unscored proposal is not."""
    draft = ScriptedModel([step("a", tokens=4)])
    reward = ScriptedReward([KEEP, ContextOverflowError("too long")])
    out = create_rsd_graph(draft, draft, reward).invoke({"problem": "p"})
    assert (out["stop"], out["response"], out["usage"].discarded) == ("context_overflow", "a", 4)
