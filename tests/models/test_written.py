"""A step that is shown while it is written is the same step."""

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage

from rsd_graph import Generation, RSDSettings, create_rsd_graph
from rsd_graph._internal import background
from rsd_graph.errors import ModelResponseError, ModelUnreachableError
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp, LlamaCpp
from rsd_graph.models.replicas import ReplicatedModel
from rsd_graph.models.retries import NO_RETRY
from rsd_graph.models.vllm import VLLM
from rsd_graph.protocols import generating
from rsd_graph.testing import ScriptedModel, ScriptedReward
from rsd_graph.text_sink import text_to
from tests.conftest import Events, FakeServer
from tests.models.odd import ODD

Client = Callable[[str], Any]


def write(model: Any, sink: Any, *, n: int = 1, logprobs: bool = True, **options: Any) -> list[Generation]:
    async def run() -> list[Generation]:
        try:
            with text_to(sink), generating(logprobs=logprobs):
                asked = RSDSettings(**options)
                return list(await model.generate([HumanMessage("2+2?")], "", settings=asked, n=n))
        finally:
            await model.aclose()

    return asyncio.run(run())


# -- a fake vLLM


def vllm_answers(pieces: Sequence[str], ending: dict[str, Any], body: dict[str, Any]) -> Any:
    """What vLLM says, streamed or not, a token for each piece."""
    logprobs = [-(number + 1) / 8 for number in range(len(pieces))] if body["logprobs"] else None
    usage = {
        "prompt_tokens": 12,
        "completion_tokens": len(pieces),
        "prompt_tokens_details": {"cached_tokens": 8},
    }

    def choice(text: str, logprobs: list[float] | None, **fields: Any) -> dict[str, Any]:
        return {"index": 0, "text": text, "logprobs": logprobs and {"token_logprobs": logprobs}, **fields}

    if not body.get("stream"):
        whole = [choice("".join(pieces), logprobs, **ending)] * body["n"]
        return {"choices": whole, "usage": usage}
    assert body["stream_options"] == {"include_usage": True}
    written = {"finish_reason": None, **dict.fromkeys(ending.keys() - {"finish_reason"})}
    endings = [*[written] * (len(pieces) - 1), ending]
    chunks: list[Any] = [
        {"choices": [choice(piece, logprobs and [logprobs[index]], **said)], "usage": None}
        for index, (piece, said) in enumerate(zip(pieces, endings, strict=True))
    ]
    return Events([*chunks, {"choices": [], "usage": usage}])


def vllm_like(server: FakeServer, *answers: Any) -> None:
    server.answer("/v1/models", {"data": [{"id": "qwen"}]})
    server.answer("/tokenize", {"tokens": [1, 2, 3]})
    server.answer("/v1/completions", *answers)


def llama_like(server: FakeServer, *answers: Any) -> None:
    server.answer("/apply-template", {"prompt": "2+2?"})
    server.answer("/completion", *answers)


def llama_events(pieces: Sequence[str], stop: str = "word") -> list[Any]:
    written = [{"content": piece, "completion_probabilities": [{"logprob": -0.5}]} for piece in pieces]
    last = {"content": "", "stop_type": stop, "tokens_evaluated": 12, "tokens_predicted": len(pieces)}
    return [*written, last]


@pytest.fixture(scope="module")
def shared_server() -> Iterator[FakeServer]:
    fake = FakeServer()
    yield fake
    fake.close()


ENDINGS: list[dict[str, Any]] = [
    {"finish_reason": "stop", "stop_reason": "\n\n"},
    {"finish_reason": "stop", "stop_reason": None},
    {"finish_reason": "length", "stop_reason": None},
    {"finish_reason": "stop", "matched_stop": 7},
]
PIECES = st.lists(st.one_of(st.sampled_from([*ODD, "", "\ufffd"]), st.text(max_size=4)), min_size=1, max_size=6)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(pieces=PIECES, ending=st.sampled_from(ENDINGS), logprobs=st.booleans())
def test_vllm_says_the_same_when_it_streams(
    shared_server: FakeServer, pieces: list[str], ending: dict[str, Any], logprobs: bool
) -> None:
    """Text, finish, usage and log-probabilities; what was shown grows to what the server wrote."""
    vllm_like(shared_server, lambda body: vllm_answers(pieces, ending, body))
    seen: list[str] = []
    whole = write(VLLM(shared_server.url), None, logprobs=logprobs)
    assert write(VLLM(shared_server.url), seen.append, logprobs=logprobs) == whole
    written = [text for text in itertools.accumulate(pieces) if text]
    assert [*dict.fromkeys(seen)] == [*dict.fromkeys(written)][-len(set(seen)) :]
    assert not written or seen[-1] == written[-1]


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(pieces=PIECES, stop=st.sampled_from(["word", "eos", "limit"]))
def test_llamacpp_says_the_same_to_a_sink(shared_server: FakeServer, pieces: list[str], stop: str) -> None:
    """It always streams: a sink changes nothing."""
    llama_like(shared_server, Events(llama_events(pieces, stop)))
    seen: list[str] = []
    whole = write(LlamaCpp(shared_server.url), None)
    assert write(LlamaCpp(shared_server.url), seen.append) == whole
    # a cut step without a whole character is asked for again, and so shown again
    assert not "".join(pieces) or seen[-1] == "".join(pieces)


def test_nothing_streams_unless_somebody_reads(server: FakeServer) -> None:
    """Without a sink, and for several candidates, vLLM's answer comes in one piece."""
    vllm_like(server, lambda body: vllm_answers(["a", "b"], ENDINGS[0], body))
    seen: list[str] = []
    write(VLLM(server.url), None)
    assert len(write(VLLM(server.url), seen.append, n=2)) == 2
    assert not seen
    assert not any("stream" in body for body in server.bodies("/v1/completions"))


def test_a_server_that_does_not_say_why_it_stops_shows_nothing(server: FakeServer) -> None:
    """Its answer is refused, and the refusal must not be lost because some text was shown."""
    vllm_like(server, lambda body: vllm_answers(["a", "b"], {"finish_reason": "stop"}, body))
    seen: list[str] = []
    with pytest.raises(ModelResponseError, match="no `stop_reason`"):
        write(VLLM(server.url), seen.append)
    assert not seen


def test_a_server_that_ignores_the_limit_is_left(server: FakeServer) -> None:
    """With the first piece too many, which is not shown."""
    llama_like(server, Events(llama_events(["a" * 1000, "b" * 10_000])))
    seen: list[str] = []
    with pytest.raises(ModelResponseError, match="asked for 1 tokens"):
        write(LlamaCpp(server.url), seen.append, max_step_tokens=1)
    assert seen == ["a" * 1000]


def test_a_server_that_does_not_stream_is_heard_at_its_end(server: FakeServer) -> None:
    """Its whole answer is the only piece."""
    vllm_like(server, lambda body: vllm_answers(["a", "b"], ENDINGS[1], {**body, "stream": False}))
    seen: list[str] = []
    (step,) = write(VLLM(server.url), seen.append)
    assert (seen, step.text, step.finish) == (["ab"], "ab", "eos")


# -- in the graph: what a reader gets


def read(target: Any, **context: Any) -> tuple[list[str], Any]:
    """The pieces that have text, and the output."""
    graph: Any = create_rsd_graph(ScriptedModel([Generation("d", "eos")]), target, ScriptedReward([0]))

    async def run() -> tuple[list[str], Any]:
        pieces, out = [], None
        modes = ["messages", "values"]
        async for mode, part in graph.astream({"problem": "2+2?"}, context=context or None, stream_mode=modes):
            if mode == "messages":
                pieces.append(str(part[0].text))
            else:
                out = part
        await target.aclose()
        return [piece for piece in pieces if piece], out

    pieces, out = asyncio.run(run())
    assert "".join(pieces) == out["response"] == out["messages"][-1].text
    return pieces, out


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        (["one\n", "\ntwo"], ["one", "\n\ntwo"]),  # a server that sends the delimiter: the rest is no part of the step
        (["one", "\n", "two"], ["one", "\ntwo"]),
        (["1 \ufffd", "2"], ["1 ", "\ufffd2"]),
        (["<|im", "_end|>", "x"], ["<|im", "_end|>", "x"]),
    ],
)
def test_what_may_be_no_text_waits(server: FakeServer, pieces: list[str], shown: list[str]) -> None:
    """Half a delimiter, and half a character; the rest of the text comes with what decides it."""
    vllm_like(server, lambda body: vllm_answers(pieces, ENDINGS[1], body))
    assert read(VLLM(server.url))[0] == shown


def test_a_cut_step_does_not_show_the_torso_of_a_character(server: FakeServer) -> None:
    """It is no part of the step either."""
    cut = llama_events(["one", " \ufffd"], "limit")
    llama_like(server, Events(cut), Events(llama_events(["two"], "eos")))
    graph_pieces, out = read(LlamaCpp(server.url), max_steps=1)
    assert (graph_pieces, out["response"]) == (["one", " "], "one ")


@pytest.mark.parametrize("client", [VLLM, LlamaCpp])
def test_pieces_come_before_the_step_has_ended(server: FakeServer, client: Client) -> None:
    """The server's last event waits until the reader has the first piece."""
    reached = threading.Event()
    if client is VLLM:
        said = vllm_answers(["one", " two", "."], ENDINGS[1], {"stream": True, "logprobs": None, "n": 1} | OPTIONS)
        vllm_like(server, Events(said.values, reached=reached))
    else:
        llama_like(server, Events(llama_events(["one", " two", "."], "eos"), reached=reached))
    target = client(server.url)
    graph: Any = create_rsd_graph(ScriptedModel([Generation("d", "eos")]), target, ScriptedReward([0]))

    async def run() -> list[str]:
        pieces = []
        async for chunk, _ in graph.astream({"problem": "2+2?"}, stream_mode="messages"):
            pieces.append(str(chunk.text))
            if "".join(pieces) == "one two.":
                reached.set()
        await target.aclose()
        return pieces

    assert [piece for piece in asyncio.run(run()) if piece] == ["one", " two", "."]


OPTIONS = {"stream_options": {"include_usage": True}}


@pytest.mark.parametrize("replicated", [False, True])
def test_a_server_that_dies_in_the_middle_repeats_nothing(server: FakeServer, replicated: bool) -> None:
    """The request is repeated, there or at a replica; the same text comes again, and only what is new is shown."""
    llama_like(
        server,
        Events(llama_events(["one", " two"])[:2], drop=True),
        Events(llama_events(["o", "ne two", " three"], "eos")),
    )
    members = [LlamaCpp(server.url, retry=NO_RETRY) for _ in range(2)]
    target = ReplicatedModel(members) if replicated else LlamaCpp(server.url)
    assert read(target)[0] == ["one", " two", " three"]
    assert len(server.bodies("/completion")) == 2


def test_a_repeated_request_that_says_something_else_leaves_what_was_shown(server: FakeServer) -> None:
    """As a step that was cut."""
    llama_like(server, Events(llama_events(["one"])[:1], drop=True), Events(llama_events(["uno"], "eos")))
    pieces, out = read(LlamaCpp(server.url), max_steps=1)
    assert pieces == ["one"]
    assert [(step.text, step.finish) for step in out["steps"]] == [("one", "length")]


def test_a_run_that_nobody_reads_does_not_stream(server: FakeServer) -> None:
    """A plain call asks vLLM for one answer, and gives the same."""
    vllm_like(server, lambda body: vllm_answers(["one", " two"], ENDINGS[1], body))
    target: Any = VLLM(server.url)
    graph: Any = create_rsd_graph(ScriptedModel([Generation("d", "eos")]), target, ScriptedReward([0]))
    out = graph.invoke({"problem": "2+2?"})
    assert not any("stream" in body for body in server.bodies("/v1/completions"))
    assert read(VLLM(server.url))[1]["response"] == out["response"]
    assert server.bodies("/v1/completions")[-1]["stream"] is True
    background.run(target.aclose())


def test_an_error_before_any_text_is_an_error(server: FakeServer) -> None:
    """Nothing was shown that could stay."""
    llama_like(server, Events([], drop=True))
    with pytest.raises(ModelUnreachableError):
        read(LlamaCpp(server.url))


# -- real bytes


@pytest.fixture(scope="module")
def tiny(tiny_weights: Path) -> Iterator[EmbeddedLlamaCpp]:
    model = EmbeddedLlamaCpp(tiny_weights, slots=1, context=512, threads=1)
    yield model
    background.run(model.aclose())


@pytest.mark.parametrize("delimiter", ["\n\n", ",", "e", "never"])
@pytest.mark.parametrize("temperature", [0.0, 2.0])
def test_a_real_model_says_the_same_to_a_sink(tiny: EmbeddedLlamaCpp, delimiter: str, temperature: float) -> None:
    """SmolLM2 in this process, odd samples included: the same step, in many pieces that grow to it."""
    options: dict[str, Any] = {"delimiter": delimiter, "temperature": temperature, "max_step_tokens": 24, "seed": 7}
    seen: list[str] = []

    async def run() -> tuple[Generation, Generation]:
        asked, chat = RSDSettings(**options), [HumanMessage("Tell me of 漢字 and 👍🏽.")]
        await tiny.generate(chat, "", settings=asked)  # the second and third find the same in the cache
        (whole,) = await tiny.generate(chat, "", settings=asked)
        with text_to(seen.append):
            (shown,) = await tiny.generate(chat, "", settings=asked)
        return whole, shown

    whole, shown = asyncio.run(run())
    assert shown == whole
    assert all(later.startswith(text) for text, later in itertools.pairwise(seen))
    assert not seen or seen[-1].rstrip("\ufffd") == shown.text.rstrip("\ufffd")
    assert len(seen) > 3 or len(shown.text) < 12


def test_a_reader_of_a_real_model_gets_many_pieces(tiny: EmbeddedLlamaCpp) -> None:
    """Through the graph, in the order in which they are written."""
    pieces, out = read(tiny, max_steps=2, max_step_tokens=24)
    assert len(pieces) > 5 * len(out["steps"])
