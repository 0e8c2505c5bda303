"""On real bytes: SmolLM2-135M in this process, and over HTTP through each of the clients."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage

from rsd_graph import Generation, RSDSettings, Score, create_rsd_graph
from rsd_graph._internal import background
from rsd_graph.errors import ContextOverflowError, ModelResponseError, WeightsError
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp, LlamaCpp
from rsd_graph.models.vllm import VLLM
from rsd_graph.models.vllm_scorer import VLLMScorer
from rsd_graph.protocols import generating
from rsd_graph.rewards.confidence import ConfidenceReward
from tests.conftest import FakeServer

MESSAGES = [SystemMessage("Count."), HumanMessage("Say hello, and no more.")]
OPENING = "Let us count.\n\nOne, two, "


@pytest.fixture(scope="module")
def tiny(tiny_weights: Path) -> Iterator[EmbeddedLlamaCpp]:
    # one thread: beside other work on the same cores, llama.cpp's threads wait for one another
    model = EmbeddedLlamaCpp(tiny_weights, slots=4, context=512, threads=1)
    yield model
    background.run(model.aclose())


def generate(model: Any, response: str = "", n: int = 1, **settings: Any) -> list[Generation]:
    return background.run(model.generate(MESSAGES, response, settings=RSDSettings(**settings), n=n))


def test_a_step_ends_at_the_delimiter(tiny: EmbeddedLlamaCpp) -> None:
    """The delimiter is reported as the reason and is not part of the text."""
    (step,) = generate(tiny, OPENING, delimiter=",")
    assert step.finish == "delimiter"
    assert "," not in step.text


def test_a_step_ends_at_the_token_limit(tiny: EmbeddedLlamaCpp) -> None:
    """No more tokens than allowed, and `length` as the reason; each token has its log-probability."""
    (step,) = generate(tiny, OPENING, delimiter="never", max_step_tokens=5)
    assert (step.finish, step.usage.completion) == ("length", 5)
    assert step.logprobs is not None
    assert len(step.logprobs) == 5
    assert all(logprob <= 0 for logprob in step.logprobs)


def test_a_step_ends_at_the_end_of_text(tiny: EmbeddedLlamaCpp) -> None:
    """The model's own end of text is `eos`."""
    (step,) = generate(tiny, delimiter="never", max_step_tokens=400)
    assert step.finish == "eos"


def test_candidates_are_steps_with_seeds_of_their_own(tiny: EmbeddedLlamaCpp) -> None:
    """Each as if it had been asked for alone."""
    options: dict[str, Any] = {"temperature": 1.5, "max_step_tokens": 5, "delimiter": "never"}
    several = generate(tiny, OPENING, n=3, seed=5, **options)
    alone = [generate(tiny, OPENING, seed=5 + number, **options)[0] for number in range(3)]
    assert [each.text for each in several] == [each.text for each in alone]
    assert len({each.text for each in several}) == 3


def test_a_lost_step_is_given_up(tiny: EmbeddedLlamaCpp) -> None:
    """It stops where it was told to; what it has read and written counts, and its cache serves the next call."""
    (whole,) = generate(tiny, OPENING, delimiter="never", max_step_tokens=40)
    with generating(logprobs=True, stop_if=lambda logprobs: len(logprobs) >= 4):
        (begun,) = generate(tiny, OPENING, delimiter="never", max_step_tokens=40)
    assert begun.given_up
    assert not whole.given_up
    assert whole.text.startswith(begun.text)
    assert begun.logprobs is not None
    assert whole.logprobs is not None
    assert begun.logprobs == pytest.approx(whole.logprobs[: len(begun.logprobs)], abs=0.2)
    assert 4 <= begun.usage.completion < 10
    assert begun.usage.prompt == whole.usage.prompt
    assert begun.usage.cached > 0
    (again,) = generate(tiny, OPENING, delimiter="never", max_step_tokens=40)
    assert again.text == whole.text
    assert again.usage.cached > 0


def test_decisions_do_not_change_where_lost_steps_are_given_up(tiny: EmbeddedLlamaCpp) -> None:
    """The same response by the same authors, for fewer tokens."""

    class Patient:
        """The same reward, which says nothing before the step is whole."""

        name = "patient"

        async def score(self, *asked: Any) -> list[Score]:
            return await ConfidenceReward().score(*asked)

    def run(reward: Any) -> dict[str, Any]:
        context = {"max_steps": 4, "max_step_tokens": 24, "threshold": 0.7, "delimiter": ","}
        return create_rsd_graph(tiny, tiny, reward).invoke({"problem": "Count to ten in words."}, context=context)

    early, patient = run(ConfidenceReward()), run(Patient())
    assert early["response"] == patient["response"]
    assert [step.author for step in early["steps"]] == [step.author for step in patient["steps"]]
    assert early["usage"].discarded < patient["usage"].discarded


def test_waiting_for_a_slot_takes_no_time_of_a_step(tiny_weights: Path) -> None:
    """Twelve steps on one slot, each of which may take as long as four: in the server's queue, most would time out."""
    settings = RSDSettings(max_step_tokens=24, delimiter="never")

    async def twelve(model: EmbeddedLlamaCpp) -> list[Generation]:
        answers = await asyncio.gather(*(model.generate(MESSAGES, OPENING, settings=settings) for _ in range(12)))
        return [step for (step,) in answers]

    async def solve() -> list[Generation]:
        first = EmbeddedLlamaCpp(tiny_weights, slots=1, context=512, threads=1)
        await first.generate(MESSAGES, OPENING, settings=settings)
        began = time.monotonic()
        await first.generate(MESSAGES, OPENING + "three, ", settings=settings)
        seconds = time.monotonic() - began
        await first.aclose()
        model = EmbeddedLlamaCpp(tiny_weights, slots=1, context=512, threads=1, timeout=4 * seconds)
        await model.start()
        try:
            return await twelve(model)
        finally:
            await model.aclose()

    assert {step.usage.completion for step in asyncio.run(solve())} == {24}


def test_the_same_seed_repeats_a_step(tiny: EmbeddedLlamaCpp) -> None:
    """Sampling follows the seed: the same twice, and n candidates differ."""
    options = {"temperature": 1.5, "max_step_tokens": 6, "delimiter": "never"}
    first = generate(tiny, OPENING, n=3, seed=5, **options)
    again = generate(tiny, OPENING, n=3, seed=5, **options)
    assert [each.text for each in first] == [each.text for each in again]
    assert len({each.text for each in first}) > 1


def test_what_was_read_is_cached(tiny: EmbeddedLlamaCpp) -> None:
    """A longer response on the same prompt reads only what is new."""
    generate(tiny, OPENING, max_step_tokens=1)
    (step,) = generate(tiny, OPENING, max_step_tokens=1)
    assert step.usage.prompt > step.usage.cached > step.usage.prompt - 4


def test_an_overlong_prompt_overflows_the_context(tiny: EmbeddedLlamaCpp) -> None:
    """A 100,000-character response is a named error, not a crash."""
    with pytest.raises(ContextOverflowError, match="context"):
        generate(tiny, "word " * 20_000)


def test_the_openai_client_reads_the_same_server(tiny: EmbeddedLlamaCpp) -> None:
    """Both clients send the same bytes to a real server: they count the same prompt tokens and write the same step.

    llama.cpp's completions endpoint does not say why it stopped, so only the token limit can be compared.
    """
    url = background.run(tiny.url())
    options: dict[str, Any] = {"max_step_tokens": 6, "delimiter": "never"}
    native, openai = LlamaCpp(url), VLLM(url)
    (first,), (second,) = generate(native, OPENING, **options), generate(openai, OPENING, **options)
    assert (first.text, first.finish, first.usage.prompt) == (second.text, second.finish, second.usage.prompt)
    for client in (native, openai):
        background.run(client.aclose())


def test_a_model_serves_any_number_of_event_loops(tiny: EmbeddedLlamaCpp) -> None:
    """`asyncio.run` again and again, as scripts and notebooks do, and no loop at all."""
    settings = RSDSettings(max_step_tokens=3)
    texts = {asyncio.run(tiny.generate(MESSAGES, OPENING, settings=settings))[0].text for _ in range(3)}
    assert texts == {generate(tiny, OPENING, max_step_tokens=3)[0].text}


def test_a_closed_model_starts_again(tiny_weights: Path) -> None:
    """Closing frees it; the next call loads it anew."""
    model = EmbeddedLlamaCpp(tiny_weights, slots=1, context=256, threads=1)
    first = generate(model, OPENING, max_step_tokens=3)
    background.run(model.aclose())
    assert generate(model, OPENING, max_step_tokens=3)[0].text == first[0].text
    background.run(model.aclose())


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    """A missing file, and one of another format, are named before llama.cpp opens them."""
    with pytest.raises(WeightsError, match=r"gone\.gguf: No such file"):
        generate(EmbeddedLlamaCpp(tmp_path / "gone.gguf"))
    (tmp_path / "text.gguf").write_text("hello")
    with pytest.raises(WeightsError, match="not a GGUF"):
        generate(EmbeddedLlamaCpp(tmp_path / "text.gguf"))


def test_a_damaged_model_is_refused(tmp_path: Path, tiny_weights: Path) -> None:
    """A truncated file is an error with its name, not a crash."""
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(tiny_weights.read_bytes()[:1_000_000])
    with pytest.raises(WeightsError, match=r"cannot load .*cut\.gguf"):
        generate(EmbeddedLlamaCpp(cut))


def test_a_server_elsewhere_needs_no_start(server: FakeServer) -> None:
    """Starting a client asks nothing of its server."""
    for client in (LlamaCpp(server.url), VLLM(server.url), VLLMScorer(server.url)):
        background.run(client.start())
        background.run(client.aclose())
    assert server.requests == []


def test_an_answer_that_makes_no_sense_is_an_error(server: FakeServer) -> None:
    """An unknown stop reason, a missing field, and a field of another type are named."""
    good = {
        "content": "x",
        "stop_type": "eos",
        "tokens_evaluated": 1,
        "tokens_predicted": 1,
        "timings": {"cache_n": 0},
    }
    server.answer("/apply-template", {"prompt": None}, {"prompt": "p"})
    server.answer("/completion", good | {"stop_type": "none"}, {}, good | {"content": None}, good)
    model = LlamaCpp(server.url)
    for message in (
        r"prompt: .*got None",
        r"stop_type: .*got 'none'",
        r"content: field required",
        r"content: .*got None",
    ):
        with pytest.raises(ModelResponseError, match=message):
            generate(model)
    (step,) = generate(model)
    assert step.logprobs is None  # the server gave none, which differs from a step without tokens
    background.run(model.aclose())
