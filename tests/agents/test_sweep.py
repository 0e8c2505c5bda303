"""A sweep gives what each run alone gives, and writes what they share once."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsd_graph import Generation, RSDSettings, Step, TokenUsage, create_rsd_graph
from rsd_graph.agents import threshold_sweep
from rsd_graph.errors import ConfigurationError
from rsd_graph.testing import ScriptedModel, ScriptedReward


def solver(rewards: dict[str, float], **options: Any) -> tuple[Any, list[ScriptedModel]]:
    """Four steps; each text tells its past, so that a step after another author is another step."""

    def model(letter: str) -> ScriptedModel:
        def script(_: Any, response: str, __: Any) -> Generation:
            past = "".join(part[-1] for part in response.split("\n\n") if part)
            finish = "eos" if len(past) == 3 else "delimiter"
            return Generation(past + letter, finish, TokenUsage(10, 0, 5))  # type: ignore[arg-type]

        return ScriptedModel(script)

    def reward(_: Any, candidate: Generation) -> float:
        return rewards.get(candidate.text, 0.5)

    draft, target = model("d"), model("t")
    return create_rsd_graph(draft, target, ScriptedReward(reward), **options), [draft, target]


PASTS = ["", *(a + b + c for a in ("d", "t") for b in ("d", "t", "") for c in ("d", "t", "") if b or not c)]


@given(
    rewards=st.dictionaries(st.sampled_from([past + "d" for past in PASTS]), st.floats(0, 1)),
    thresholds=st.lists(st.floats(0, 1), min_size=1, max_size=6),
    weighting=st.sampled_from(["step", "logistic", "clipping"]),
)
@settings(max_examples=40)
def test_each_run_is_what_it_would_be_alone(rewards: dict[str, float], thresholds: list[float], weighting: Any) -> None:
    graph, models = solver(rewards)
    chosen = RSDSettings(weighting=weighting)
    sweep = threshold_sweep(graph, "p", thresholds, settings=chosen)
    calls = sum(len(model.calls) for model in models)
    assert [run.threshold for run in sweep.runs] == thresholds
    for run in sweep.runs:
        alone = graph.invoke({"problem": "p"}, context=chosen.model_copy(update={"threshold": run.threshold}))
        assert run.output["steps"] == alone["steps"]
        assert run.output["usage"] == alone["usage"]
    assert sweep.written == 5 * calls


def test_what_is_shared_is_written_once() -> None:
    graph, models = solver({"d": 0.9, "dd": 0.5, "ddd": 0.7, "dddd": 0.9})
    sweep = threshold_sweep(graph, "p", [0.6, 0.4, 0.3, 0.95])
    assert [[step.author[0] for step in run.output["steps"]] for run in sweep.runs] == [
        ["d", "t", "t", "t"],
        ["d", "d", "d", "d"],
        ["d", "d", "d", "d"],
        ["t", "t", "t", "t"],
    ]
    assert [run.shared for run in sweep.runs] == [1, 4, 0, 0]
    assert sweep.written == 5 * sum(len(model.calls) for model in models)
    assert sweep.written_apart == 5 * (7 + 4 + 4 + 8)
    assert sweep.saved == pytest.approx(1 - sweep.written / sweep.written_apart)
    first = sweep.runs[1].output["steps"][0]
    assert first == Step("d", "draft", 0.9, tokens=5)


@pytest.mark.parametrize(
    ("thresholds", "fields", "told"),
    [([], {}, "threshold"), ([0.5], {"temperature": 0.7}, "temperature"), ([0.5], {"review": "all"}, "review")],
)
def test_what_cannot_be_shared_is_refused(thresholds: list[float], fields: dict[str, Any], told: str) -> None:
    graph, _ = solver({}, settings=RSDSettings(**fields))
    with pytest.raises(ConfigurationError, match=told):
        threshold_sweep(graph, "p", thresholds)


def test_a_threshold_out_of_range_is_named() -> None:
    graph, _ = solver({})
    with pytest.raises(ValueError, match="threshold"):
        threshold_sweep(graph, "p", [0.5, 1.5])
