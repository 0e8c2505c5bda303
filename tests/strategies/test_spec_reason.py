"""SpecReason: the draft writes, the target rates and rewrites."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsd_graph import Generation, RSDSettings, TokenUsage
from rsd_graph.errors import ConfigurationError, ContextOverflowError
from rsd_graph.rewards.digit import BEGUN
from rsd_graph.strategies.outcome import Models, Outcome
from rsd_graph.strategies.spec_reason import decided_by, spec_reason
from rsd_graph.testing import ScriptedModel, ScriptedReward
from tests.graph.scripts import step


class Target:
    """A target that gives these ratings one after another, and writes "better" as each step."""

    name = "target"

    def __init__(self, ratings: Sequence[str]) -> None:
        self._ratings = list(ratings)
        self.rated = self.written = 0

    async def generate(self, _: Any, response: str, *, settings: RSDSettings, n: int = 1) -> list[Generation]:
        assert n == 1
        if response == BEGUN:
            assert settings.max_step_tokens == 1
            self.rated += 1
            return [Generation(self._ratings[(self.rated - 1) % len(self._ratings)], "length", TokenUsage(100, 90, 1))]
        self.written += 1
        return [step("better", tokens=4)]


def solve(draft: Any, target: Any, at: int = 7, watch: list[Any] | None = None, **settings: Any) -> Outcome:
    told: list[Any] = [] if watch is None else watch

    async def listen(event: Any) -> None:
        told.append(event)

    models = Models(draft, target, ScriptedReward([RuntimeError("not asked")]))
    return asyncio.run(spec_reason(at)(models, "2+2?", RSDSettings(**settings), listen))


def test_the_target_rewrites_what_it_rates_below_the_threshold() -> None:
    """At the threshold a step is kept; the rewards are ninths of the ratings."""
    draft = ScriptedModel([step("a"), step("b"), step("\\boxed{4}", "eos")])
    told: list[Any] = []
    outcome = solve(draft, Target("769"), watch=told)
    assert [(each.text, each.author) for each in outcome.steps] == [
        ("a", "draft"),
        ("better", "target"),
        ("\\boxed{4}", "draft"),
    ]
    assert [each.reward for each in outcome.steps] == [7 / 9, 6 / 9, 1.0]
    assert (outcome.answer, outcome.stop) == ("4", "eos")
    names = ["proposed", "scored", "kept", "proposed", "scored", "replaced", "kept", "proposed", "scored", "kept"]
    assert [each["event"] for each in told] == [*names, "finished"]


def test_the_ratings_are_the_targets_work() -> None:
    """Its tokens are counted with those of the steps that it writes; there is no reward model."""
    draft = ScriptedModel([step("a", tokens=3), step("b", "eos", tokens=2)])
    usage = solve(draft, Target("17")).usage
    assert usage.target == TokenUsage(prompt=210, cached=180, completion=6)
    assert usage.draft == TokenUsage(prompt=20, completion=5)
    assert (usage.reward, usage.discarded, usage.response) == (TokenUsage(), 3, 6)


@given(threshold=st.integers(0, 9), rating=st.integers(0, 9))
def test_every_digit_is_compared_as_a_digit(threshold: int, rating: int) -> None:
    """However ninths are rounded."""
    outcome = solve(ScriptedModel([step("a")]), Target(str(rating)), threshold, max_steps=1)
    assert outcome.steps[0].author == ("draft" if rating >= threshold else "target")


def test_settings_of_rsd_do_not_decide() -> None:
    """Neither its threshold nor its weighting."""
    outcome = solve(
        ScriptedModel([step("a")]), Target("7"), max_steps=2, threshold=1.0, weighting="constant", constant=0
    )
    assert {each.author for each in outcome.steps} == {"draft"}


def test_an_answer_without_a_digit_is_a_0() -> None:
    assert solve(ScriptedModel([step("a")]), Target(["no"]), 1, max_steps=1).steps[0].author == "target"
    assert solve(ScriptedModel([step("a")]), Target(["no"]), 0, max_steps=1).steps[0].author == "draft"


def test_limits_and_blank_steps_are_those_of_rsd() -> None:
    """Also a full context of the rating; a blank step is not rated."""
    assert solve(ScriptedModel([step("a")]), Target("9"), max_steps=2).stop == "max_steps"
    assert solve(ScriptedModel([step("a", tokens=4)]), Target("9"), max_tokens=8).stop == "max_tokens"
    target = Target("9")
    outcome = solve(ScriptedModel([step(" ")]), target, max_steps=3)
    assert (target.rated, target.written, outcome.stop) == (0, 3, "max_steps")
    full = solve(ScriptedModel([step("a", tokens=3)]), ScriptedModel([ContextOverflowError("too long")]))
    assert (full.stop, full.response, full.usage.discarded) == ("context_overflow", "", 3)


def test_a_seed_repeats_a_run() -> None:
    """And another one draws others."""

    def seeds(seed: int) -> list[int]:
        draft = ScriptedModel([step("a")])
        solve(draft, Target("9"), max_steps=3, seed=seed)
        return [settings.seed for *_, settings in draft.calls]

    assert seeds(1) == seeds(1)
    assert not {*seeds(1)} & {*seeds(2)}


@pytest.mark.parametrize("threshold", [-1, 10, 0.7, True, "7"])
def test_a_threshold_that_is_no_rating_is_named(threshold: Any) -> None:
    with pytest.raises(ConfigurationError, match="threshold must be a rating, a whole number from 0 to 9"):
        spec_reason(threshold)


def test_the_settings_that_a_threshold_stands_for() -> None:
    """What the log shows rewards against."""
    assert decided_by(9) == {"threshold": 1.0, "weighting": "step", "budget": None}
    assert decided_by() == decided_by(7)
