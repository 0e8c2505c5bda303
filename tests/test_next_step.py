import asyncio
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from rsd_graph import Generation, RSDSettings, Step, TokenUsage
from rsd_graph.errors import ModelError
from rsd_graph.next_step import blanks_at_end, conversation, is_blank, propose, tokens_in, without_blanks
from rsd_graph.state import Author
from rsd_graph.testing import ScriptedModel

SAID = Generation("said", "delimiter")


def asked(role: Author = "draft", steps: list[Step] | None = None, **changes: Any) -> tuple[str, RSDSettings]:
    """What a model is asked for the next step with these settings: the response so far, and its own settings."""
    model = ScriptedModel([SAID])
    settings = RSDSettings(**changes)
    assert asyncio.run(propose(model, role, [HumanMessage("p")], steps or [], settings)) == SAID
    ((messages, response, own),) = model.calls
    assert messages == [HumanMessage("p")]
    return response, own


def test_seeds_differ_by_role_step_and_run() -> None:
    """No two calls share random numbers: not draft and target, not one step and the next, not two seeds."""
    seeds = {
        asked(role, [Step("a", "draft")] * steps, seed=seed)[1].seed
        for role in get_args(Author)
        for steps in range(20)
        for seed in range(5)
    }
    assert len(seeds) == len(get_args(Author)) * 20 * 5


def test_seeds_stay_the_same_between_versions() -> None:
    """A stored run must replay: these numbers never change."""
    assert asked("draft", seed=0)[1].seed == 1023891843
    assert asked("target", [Step("a", "draft")] * 3, seed=7)[1].seed == 1398895485


@given(seed=st.integers(0, 2**31 - 1), steps=st.integers(0, 3))
def test_a_seed_is_one_that_settings_allow(seed: int, steps: int) -> None:
    """Servers take 32 bits, some of them signed; the settings a model gets are valid settings."""
    own = asked("target", [Step("a", "draft")] * steps, seed=seed)[1]
    assert RSDSettings.model_validate(own.model_dump()) == own


def test_a_step_does_not_depend_on_what_the_steps_before_it_say() -> None:
    """The seed comes from the step's number, so that a fork that edits a step samples on as the run did."""
    assert asked(steps=[Step("a", "draft")]) != asked(steps=[Step("b", "target")])
    assert asked(steps=[Step("a", "draft")])[1] == asked(steps=[Step("b", "target")])[1]


@pytest.mark.parametrize(
    ("written", "max_tokens", "max_step_tokens", "expected"),
    [
        ([], 100, 30, 30),
        ([60], 100, 30, 30),
        ([60, 15], 100, 30, 25),
        ([60, 39], 100, 30, 1),
        ([60, 40], 100, 30, 1),
        ([60, 50], 100, 30, 1),
        ([], 10, 30, 10),
        ([0, 0], 100, 30, 30),
    ],
)
def test_a_step_is_bounded_by_what_the_run_has_left(
    written: list[int], max_tokens: int, max_step_tokens: int, expected: int
) -> None:
    """At most a step's own limit, at most the rest of the run's, and never less than one token."""
    steps = [Step("a", "draft", tokens=tokens) for tokens in written]
    assert asked(steps=steps, max_tokens=max_tokens, max_step_tokens=max_step_tokens)[1].max_step_tokens == expected


def test_every_other_setting_reaches_the_model_as_it_is() -> None:
    """Only the seed and the limit of the step are changed."""
    given_settings = RSDSettings(temperature=0.5, top_p=0.9, delimiter="##", threshold=0.2, system_prompt="s")
    own = asked(**given_settings.model_dump())[1]
    kept = {"seed": 0, "max_step_tokens": 512}
    assert own.model_copy(update=kept) == given_settings


def test_the_model_continues_the_exact_prefix() -> None:
    """Every kept step followed by the delimiter, except after one that a token limit cut."""
    steps = [Step(" one ", "draft"), Step("tw", "target", finish="length")]
    assert asked(steps=steps, delimiter="##")[0] == " one ##tw"


@pytest.mark.parametrize(
    "answer", [None, [], [SAID, SAID], SAID, ["said"], [{"text": "said", "finish": "eos"}], "s", iter([SAID])]
)
def test_a_model_must_return_one_generation(answer: Any) -> None:
    """Anything else is named, with the model and with what was expected."""

    class Odd:
        name = "odd"

        async def generate(self, *_: Any, **__: Any) -> Any:
            return answer

    with pytest.raises(ModelError, match=r"^odd returned .*, expected a list of one Generation$"):
        asyncio.run(propose(Odd(), "draft", [], [], RSDSettings()))


def test_a_long_wrong_answer_is_cut_in_the_message() -> None:
    """An error message is for reading."""

    class Chatty:
        name = "chatty"

        async def generate(self, *_: Any, **__: Any) -> Any:
            return "x" * 10_000

    with pytest.raises(ModelError) as caught:
        asyncio.run(propose(Chatty(), "draft", [], [], RSDSettings()))
    assert len(str(caught.value)) < 300


def test_a_conversation_is_system_prompt_history_and_problem() -> None:
    """In this order; an empty system prompt is no message at all."""
    history = [HumanMessage("hello"), AIMessage("hi")]
    with_prompt = RSDSettings(system_prompt="think")
    assert conversation(with_prompt, "p", history) == [SystemMessage("think"), *history, HumanMessage("p")]
    assert conversation(RSDSettings(system_prompt=""), "p") == [HumanMessage("p")]


def test_system_messages_are_one_at_the_front() -> None:
    """The system prompt first, then those of the history in their order: many templates take no second one."""
    history = [
        SystemMessage("a"),
        HumanMessage("hello"),
        SystemMessage([{"type": "text", "text": "b"}]),
        AIMessage("hi"),
    ]
    talk = [HumanMessage("hello"), AIMessage("hi"), HumanMessage("p")]
    assert conversation(RSDSettings(system_prompt="s"), "p", history) == [SystemMessage("s\n\na\n\nb"), *talk]
    assert conversation(RSDSettings(system_prompt=""), "p", history) == [SystemMessage("a\n\nb"), *talk]
    assert conversation(RSDSettings(system_prompt=""), "p", history[:2]) == [history[0], talk[0], talk[2]]


def test_tokens_are_counted_another_way_where_the_model_does_not_count() -> None:
    """By the log-probabilities of a generation; a step without any is taken for one token per four bytes."""

    def counted(generation: Generation) -> int:
        model = ScriptedModel([generation])
        return asyncio.run(propose(model, "draft", [], [], RSDSettings())).usage.completion

    assert counted(Generation("abc", "eos", logprobs=(-1.0, -1.0))) == 2
    assert counted(Generation("abc", "eos", TokenUsage(completion=5), logprobs=(-1.0, -1.0))) == 5
    assert counted(Generation("abc", "eos")) == 0
    assert [tokens_in([Step(text, "draft")]) for text in ("", "a", "abcd", "abcde", "äöü")] == [0, 1, 1, 2, 2]
    assert tokens_in([Step("a", "draft", tokens=7), Step("abcdefgh", "target")]) == 9


def test_blank_steps_are_counted_from_the_end() -> None:
    """A step that says something, or white space at a token limit, ends the row."""
    blank = Step(" ", "target")
    assert [blanks_at_end(steps) for steps in ([], [blank], [Step("a", "draft"), blank, blank])] == [0, 1, 2]
    assert blanks_at_end([blank, Step(" ", "draft", finish="length")]) == 0
    assert without_blanks([blank, Step("a", "draft"), blank]) == [Step("a", "draft")]


@pytest.mark.parametrize(
    ("text", "finish", "blank"),
    [
        ("", "delimiter", True),
        (" \n", "delimiter", True),
        ("\u00a0", "delimiter", True),
        ("", "eos", True),
        (" ", "eos", True),
        ("", "length", True),
        (" ", "length", False),
        ("\n", "length", False),
        ("a", "delimiter", False),
        (" a", "eos", False),
    ],
)
def test_white_space_is_blank_unless_a_limit_cut_it(text: str, finish: Any, blank: bool) -> None:
    """A step is not kept without something to read; at a token limit, white space may be its beginning."""
    assert is_blank(Generation(text, finish)) is blank
