import asyncio

import pytest

from rsd_graph import Generation, RSDSettings, TokenUsage
from rsd_graph.errors import ContextOverflowError, ModelResponseError
from rsd_graph.state import Author
from rsd_graph.strategies.single import continue_solution, response
from rsd_graph.testing import Script, ScriptedModel


def step(text: str, tokens: int = 1) -> Generation:
    return Generation(text, "delimiter", TokenUsage(completion=tokens))


END = Generation("\\boxed{4}", "eos", TokenUsage(completion=1))


def written(script: Script, *before: Generation, role: Author = "draft", **settings: object) -> list[str]:
    """The texts of the steps that a scripted model writes after these."""
    model = ScriptedModel(script)
    chosen = RSDSettings.model_validate(settings)
    return [each.text for each in asyncio.run(continue_solution(model, "2+2?", before, chosen, role))]


def test_a_model_writes_until_it_ends() -> None:
    """Each step after those before it; only the new ones are returned."""
    model = ScriptedModel({"We add.\n\n": step("So:"), "We add.\n\nSo:\n\n": END})
    found = asyncio.run(continue_solution(model, "2+2?", [step("We add.")], RSDSettings(system_prompt="Think.")))
    assert found == [step("So:"), END]
    assert [message.text for message in model.calls[0][0]] == ["Think.", "2+2?"]
    assert response([step("We add."), *found], RSDSettings()) == "We add.\n\nSo:\n\n\\boxed{4}"


def test_limits_count_the_steps_before() -> None:
    """Of steps and of tokens; the last step may take what is left of the tokens."""
    assert written([step("a")], step("before"), max_steps=3) == ["a", "a"]
    assert written([step("a", 4)], step("before", 2), max_tokens=10) == ["a", "a"]
    assert written([step("a")], step("before", 10), max_tokens=10) == []
    model = ScriptedModel([step("a", 3)])
    asyncio.run(continue_solution(model, "2+2?", [], RSDSettings(max_tokens=5, max_step_tokens=4)))
    assert [settings.max_step_tokens for _, _, settings in model.calls] == [4, 2]


def test_a_context_overflow_ends_the_solution() -> None:
    """What was written is kept. Any other error is raised."""
    assert written([step("a"), ContextOverflowError("too long")]) == ["a"]
    with pytest.raises(ModelResponseError):
        written([step("a"), ModelResponseError("broken")])


def test_a_blank_step_ends_the_solution() -> None:
    """It is not kept. White space that a token limit cut counts as text: the next step continues it."""
    assert written([step("a"), step(" \n")]) == ["a"]
    assert written([step("a"), Generation("", "eos")]) == ["a"]
    assert written([Generation(" ", "length"), END]) == [" ", "\\boxed{4}"]


def test_a_cut_step_is_continued_without_a_delimiter() -> None:
    """The model sees exactly what it wrote."""
    model = ScriptedModel({"": Generation("2 an", "length"), "2 an": END})
    found = asyncio.run(continue_solution(model, "2+2?", [], RSDSettings()))
    assert response(found, RSDSettings()) == "2 an\\boxed{4}"


def test_draft_and_target_draw_different_random_numbers() -> None:
    """The same settings, another role; the draft by default."""

    def seeds(*role: Author) -> list[int]:
        model = ScriptedModel([step("a"), END])
        asyncio.run(continue_solution(model, "2+2?", [], RSDSettings(seed=3), *role))
        return [settings.seed for _, _, settings in model.calls]

    assert seeds() == seeds("draft")
    assert len({*seeds("draft"), *seeds("target")}) == 4
