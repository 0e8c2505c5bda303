from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from rsd_graph import Generation, RSDSettings, Step, TokenUsage, Usage
from rsd_graph.errors import ContextOverflowError, ModelError, ModelUnavailableError
from rsd_graph.nodes import draft_node, target_node
from rsd_graph.testing import ScriptedModel
from tests.nodes.running import SPENT, run_node, under_way

WRITTEN = Generation("better", "eos", TokenUsage(prompt=11, cached=6, completion=3))


def test_the_target_replaces_the_proposal() -> None:
    """The step is the target's; the draft's tokens are discarded, and its reward stays on record."""
    update, events = run_node(target_node(ScriptedModel([WRITTEN])), under_way(Step("a", "draft"), reward=0.2))
    assert update == {
        "proposal": WRITTEN,
        "author": "target",
        "usage": SPENT + Usage(target=WRITTEN.usage, discarded=4),
    }
    assert "reward" not in update
    assert events == [{"event": "replaced", "step": 1, "text": "better", "finish": "eos", "tokens": 3}]


def test_the_target_continues_the_kept_steps() -> None:
    """It sees the draft's conversation and prefix, without the rejected proposal, and samples with its own seed."""
    model = ScriptedModel([WRITTEN])
    state = under_way(Step("a", "draft"), Step("b", "draft"))
    run_node(draft_node(model), state, RSDSettings(seed=5))
    run_node(target_node(model), state, RSDSettings(seed=5))
    drafted, rewritten = model.calls
    assert rewritten[:2] == drafted[:2] == ([HumanMessage("p")], "a\n\nb\n\n")
    assert len({drafted[2].seed, rewritten[2].seed, 5}) == 3


def test_without_a_proposal_nothing_is_discarded() -> None:
    """A state edited by hand may have none."""
    update, _ = run_node(target_node(ScriptedModel([WRITTEN])), under_way(proposal=None))
    assert update["usage"] == SPENT + Usage(target=WRITTEN.usage)


def test_a_full_context_stops_the_run() -> None:
    """Nothing replaces the rejected proposal; its tokens count as discarded, and no event is emitted."""
    update, events = run_node(target_node(ScriptedModel([ContextOverflowError("long")])), under_way())
    assert update == {"proposal": None, "stop": "context_overflow", "usage": SPENT + Usage(discarded=4)}
    assert events == []


def test_a_blank_replacement_is_passed_on() -> None:
    """The check ends the run over it; its tokens count."""
    blank = Generation("", "delimiter", TokenUsage(completion=1))
    update, events = run_node(target_node(ScriptedModel([blank])), under_way())
    assert (update["proposal"], update["usage"]) == (blank, SPENT + Usage(target=blank.usage, discarded=4))
    assert events == [{"event": "replaced", "step": 0, "text": "", "finish": "delimiter", "tokens": 1}]


def test_any_other_error_leaves_the_node() -> None:
    """A target that is overloaded is not a reason to stop quietly."""
    with pytest.raises(ModelUnavailableError, match="busy"):
        run_node(target_node(ScriptedModel([ModelUnavailableError("busy")])), under_way())


def test_a_model_that_returns_something_else_is_named() -> None:
    """Text in place of a `Generation` is an error, with the model's name."""

    class Text(ScriptedModel):
        async def generate(self, *_: Any, **__: Any) -> Any:
            return ["better"]

    with pytest.raises(ModelError, match=r"big returned \['better'\], expected a list of one Generation"):
        run_node(target_node(Text([], name="big")), under_way())


def test_a_proposal_that_is_accepted_by_now_is_kept() -> None:
    """A fork after `score` with another threshold, or with another reward: the target is not asked."""
    model = ScriptedModel([WRITTEN])
    assert run_node(target_node(model), under_way(reward=0.5), RSDSettings(threshold=0.5)) == ({}, [])
    assert model.calls == []
