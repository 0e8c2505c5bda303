import asyncio
from typing import Any

import pytest

from rsd_graph import Generation, RSDSettings, Step, TokenUsage, create_rsd_graph
from rsd_graph.state import MAX_BLANK_STEPS
from rsd_graph.strategies.single import continue_solution, response
from rsd_graph.testing import ScriptedModel, ScriptedReward
from tests.graph.scripts import KEEP, step

BLANK = step("")


def both(script: Any, **options: Any) -> tuple[Any, ScriptedModel]:
    """A graph in which draft and target say the same after the same response, and its draft.

    A list of steps is said one after another, the last of them forever.
    """
    said = script if callable(script) else lambda _, shown, __: script[min(shown.count("\n\n"), len(script) - 1)]
    draft = ScriptedModel(said)
    return create_rsd_graph(draft, ScriptedModel(said), options.pop("reward", ScriptedReward([KEEP]))), draft


@pytest.mark.parametrize("number", [1, 2, MAX_BLANK_STEPS - 1])
@pytest.mark.parametrize("before", ["", "one\n\n"])
def test_models_that_write_the_delimiter_first_are_shown_it(before: str, number: int) -> None:
    """At the beginning and in the middle: they answer after it, and the response holds what they were shown."""

    def script(_: Any, response: str, __: Any) -> Generation:
        if response == before + "\n\n" * number:
            return step(r"\boxed{4}", "eos")
        return step("one") if before and not response else BLANK

    graph, draft = both(script)
    out = graph.invoke({"problem": "p"})
    assert (out["answer"], out["stop"]) == ("4", "eos")
    assert out["response"] == before + "\n\n" * number + r"\boxed{4}"
    assert out["response"] == "\n\n".join(each.text for each in out["steps"])
    assert all(out["response"].startswith(shown) for _, shown, _ in draft.calls)


def test_models_that_stay_blank_end_the_run() -> None:
    """After as many steps as the bound says, without a blank one in the output; the answer so far is read."""
    graph, draft = both([step(r"\boxed{7}"), BLANK])
    out = graph.invoke({"problem": "p"})
    assert (out["stop"], out["answer"], out["steps"]) == ("no_progress", "7", [Step(r"\boxed{7}", "draft", KEEP)])
    assert len(draft.calls) == 1 + MAX_BLANK_STEPS


def test_a_step_between_blank_ones_starts_the_count_again() -> None:
    """The bound is for blank steps in a row."""
    row = [BLANK] * (MAX_BLANK_STEPS - 1)
    script = [step("a"), *row, step("b"), *row, step("c", "eos")]
    index = 0

    def draft(*_: Any) -> Generation:
        nonlocal index
        index += 1
        return script[index - 1]

    graph = create_rsd_graph(ScriptedModel(draft), ScriptedModel([BLANK]), ScriptedReward([KEEP]))
    out = graph.invoke({"problem": "p"})
    assert [each.text for each in out["steps"] if each.text] == ["a", "b", "c"]
    assert out["stop"] == "eos"


def test_a_blank_step_from_the_draft_alone_is_the_targets_to_write() -> None:
    """As before: the target is asked first, and nothing blank is kept."""
    target = ScriptedModel([step("t", "eos")])
    out = create_rsd_graph(ScriptedModel([BLANK]), target, ScriptedReward([KEEP])).invoke({"problem": "p"})
    assert [each.text for each in out["steps"]] == ["t"]


def test_reward_models_see_no_blank_steps() -> None:
    """They judge what was said."""
    seen: list[list[str]] = []

    def reward(steps: Any, candidate: Generation) -> float:
        seen.append([*(each.text for each in steps), candidate.text])
        return KEEP

    graph, _ = both([step("a"), BLANK, step("b", "eos")], reward=ScriptedReward(reward))
    graph.invoke({"problem": "p"})
    assert seen == [["a"], ["a", "b"]]


def test_events_and_steps_agree() -> None:
    """What was kept, in its order, and nothing of what was dropped at the end."""
    for script in ([BLANK, step("a"), BLANK, BLANK, step("b", "eos")], [step("a"), BLANK]):
        graph, _ = both(script)
        chunks = list(graph.stream({"problem": "p"}, stream_mode=["custom", "values"]))
        kept = [chunk for mode, chunk in chunks if mode == "custom" and chunk["event"] == "kept"]
        steps = chunks[-1][1]["steps"]
        assert [(each["step"], each["text"]) for each in kept] == [(i, each.text) for i, each in enumerate(steps)]


def test_samples_of_a_blank_step_differ() -> None:
    """Each has the seed of its own step, so that sampling may find a way out even where the text stays the same."""
    graph, draft = both([Generation("", "length", TokenUsage(completion=1))])
    graph.invoke({"problem": "p"})
    assert len({settings.seed for _, _, settings in draft.calls}) == MAX_BLANK_STEPS


def test_a_single_model_continues_too() -> None:
    """The strategy that labels and evaluates rewards had the same fault."""
    settings = RSDSettings()
    model = ScriptedModel({"": BLANK, "\n\n": step("a"), "\n\na\n\n": step("b", "eos")})
    written = asyncio.run(continue_solution(model, "p", [], settings))
    assert response(written, settings) == "\n\na\n\nb"
    assert asyncio.run(continue_solution(ScriptedModel([BLANK]), "p", [step("a")], settings)) == []
