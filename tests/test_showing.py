import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from langgraph.types import RetryPolicy, TimeoutPolicy

from rsd_graph import Generation, RSDSettings, build_rsd_graph, create_rsd_graph
from rsd_graph._internal.background import on_background_loop
from rsd_graph.errors import ContextOverflowError, ModelUnreachableError
from rsd_graph.testing import ScriptedModel, ScriptedReward
from rsd_graph.text_sink import text_sink
from tests.graph.scripts import KEEP, REWRITE, step


class Writer:
    """A target that says what it is told to: texts so far, then a generation, or an error."""

    name = "writer"

    def __init__(self, *calls: Sequence[Any]) -> None:
        self.calls = list(calls)
        self.responses: list[str] = []

    async def generate(self, _: Any, response: str, *, settings: RSDSettings, n: int = 1) -> list[Generation]:
        self.responses.append(response)
        sink = text_sink()
        for said in self.calls.pop(0) if len(self.calls) > 1 else self.calls[0]:
            match said:
                case str():
                    assert sink
                    sink(said)
                case Generation():
                    return [said] * n
                case Exception():
                    raise said
                case float():
                    await asyncio.sleep(said)
        raise AssertionError(settings)


def shown(graph: Any, **context: Any) -> tuple[list[str], Any]:
    """The pieces, and the output."""
    pieces: list[str] = []
    out: Any = None
    for mode, part in graph.stream({"problem": "p"}, context=context or None, stream_mode=["messages", "values"]):
        if mode == "messages":
            pieces.append(str(part[0].text))
        else:
            out = part
    assert "".join(pieces) == out["response"]
    return pieces, out


def rewriting(*calls: Sequence[Any], draft: Any = None, rewards: Any = (REWRITE,)) -> Any:
    return create_rsd_graph(draft or ScriptedModel([step("d")]), Writer(*calls), ScriptedReward(rewards))


def test_text_is_shown_as_it_is_written() -> None:
    """Nothing twice, and the delimiter with the step that follows it."""
    graph = rewriting(["on", "one", step("one")], ["t", "two.", step("two.", "eos")])
    assert shown(graph)[0] == ["on", "e", "\n\nt", "wo.", ""]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_models_on_the_background_loop_show_in_order(asynchronous: bool) -> None:
    """As all of the package's models are: in another thread than the run's, which still gets piece after piece."""
    numbers = "".join(f"{number} " for number in range(200))
    pieces = [numbers[: end + 1] for end, character in enumerate(numbers) if character == " "]

    class Elsewhere(Writer):
        generate = on_background_loop(Writer.generate)

    writer = Elsewhere([*pieces, step(numbers)], ["end", step("end", "eos")])
    graph: Any = create_rsd_graph(ScriptedModel([step("d")]), writer, ScriptedReward([REWRITE]))

    async def run() -> list[str]:
        return [str(m.text) async for m, _ in graph.astream({"problem": "p"}, stream_mode="messages")]

    said = asyncio.run(run()) if asynchronous else shown(graph)[0]
    assert "".join(said) == f"{numbers}\n\nend"
    assert len(said) == len(pieces) + 2


def test_what_may_be_the_delimiter_waits() -> None:
    """A model may send it, whole or in part: it is no part of the step."""
    graph = rewriting(["one\n", "one\nmore\n", "one\nmore\n\n", step("one\nmore")], ["e\n", step("e\n", "eos")])
    assert shown(graph)[0] == ["one", "\nmore", "\n\ne", "\n"]


def test_blank_steps_wait_for_text() -> None:
    """They are shown with the text that follows, and never if nothing does."""
    graph = rewriting(["a", step("a")], [" ", step(" ")], ["b", step("b")], [" ", step(" ", "eos")])
    assert shown(graph)[0] == ["a", "\n\n \n\nb", ""]


def test_drafts_are_held_until_they_are_accepted() -> None:
    """A draft that streams has no sink."""
    draft = ScriptedModel([step("good draft"), step("end", "eos")], streams=True)
    graph = create_rsd_graph(draft, draft, ScriptedReward([KEEP]))
    assert shown(graph)[0] == ["good draft", "\n\nend"]


def test_a_repeated_request_repeats_nothing() -> None:
    """The layer of retries starts over: what was shown is not shown again."""
    graph = rewriting(["one", "one two", "o", "one two th", step("one two three", "eos")])
    assert shown(graph)[0] == ["one", " two", " th", "ree"]


def test_a_repeated_request_with_another_answer_keeps_what_was_shown() -> None:
    """As a step that was cut: the next one goes on from there. Nothing is taken back."""
    writer = Writer(["one", "un", step("uno", tokens=5)], ["!", step("!", "eos")])
    graph = create_rsd_graph(ScriptedModel([step("d")]), writer, ScriptedReward([REWRITE]))
    pieces, out = shown(graph)
    assert pieces == ["one", "!", ""]
    assert [(each.text, each.finish) for each in out["steps"]] == [("one", "length"), ("!", "eos")]
    assert writer.responses == ["", "one"]
    assert out["usage"].target.completion == 5


def test_what_a_model_trims_at_the_end_stays_if_it_was_shown() -> None:
    """The step ends as the model says."""
    pieces, out = shown(rewriting(["one ", step("one", "eos")]))
    assert (pieces, out["stop"]) == (["one ", ""], "eos")


@pytest.mark.parametrize("error", [ModelUnreachableError("gone"), ContextOverflowError("full"), RuntimeError("own")])
def test_a_call_that_fails_keeps_what_was_shown(error: Exception) -> None:
    """The run goes on from it, and draft and target see it."""
    draft = ScriptedModel([step("d"), step("", "length"), step(" more", "eos")])
    graph = rewriting(["one", error], draft=draft, rewards=[REWRITE, KEEP])
    pieces, out = shown(graph, max_steps=9)
    assert pieces[0] == "one"
    assert draft.calls[1][1] == "one"
    assert out["steps"][0].author == "target"


def test_a_target_that_is_gone_fails_with_what_was_shown() -> None:
    """At the next call, which shows nothing: the error has the piece among its steps."""
    error = ModelUnreachableError("gone")
    with pytest.raises(ModelUnreachableError) as raised:
        shown(rewriting(["one", error], [error]))
    assert [(each.text, each.finish) for each in raised.value.steps] == [("one", "length")]


def test_a_node_that_is_called_again_repeats_nothing() -> None:
    """LangGraph's timeout ends the call of a target that hangs, and its policy calls the node again."""
    builder = build_rsd_graph(
        ScriptedModel([step("d")]), Writer(["one", 60.0], ["o", "one two", step("one two", "eos")]), ScriptedReward([0])
    )
    builder.nodes["target"].timeout = TimeoutPolicy(run_timeout=0.5)
    builder.nodes["target"].retry_policy = RetryPolicy(max_attempts=2, initial_interval=0.0, jitter=False)
    graph: Any = builder.compile()

    async def run() -> list[str]:
        return [str(m.text) async for m, _ in graph.astream({"problem": "p"}, stream_mode="messages")]

    assert asyncio.run(run()) == ["one", " two", ""]


def test_nothing_is_shown_after_the_call() -> None:
    """A model that writes on when it has returned, or was cancelled, is not heard."""
    sinks: list[Any] = []

    class Late(Writer):
        async def generate(self, *given: Any, **options: Any) -> list[Generation]:
            sinks.append(text_sink())
            return await super().generate(*given, **options)

    def reward(*_: Any) -> float:
        for sink in sinks:
            sink("one more")
        return REWRITE

    writer = Late(["one", step("one")], [step("two", "eos")])
    graph = create_rsd_graph(ScriptedModel([step("d")]), writer, ScriptedReward(reward))
    assert shown(graph)[0] == ["one", "\n\ntwo"]
