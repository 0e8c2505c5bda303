"""Token-level speculative decoding: the engine's work, whose result is that of the target alone."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from rsd_graph import Generation, RSDSettings, TokenUsage
from rsd_graph._internal import background
from rsd_graph.errors import ConfigurationError, ModelUnreachableError, WeightsError
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp, LlamaCpp
from rsd_graph.models.replicas import ReplicatedModel
from rsd_graph.models.retries import NO_RETRY
from rsd_graph.models.vllm import VLLM
from rsd_graph.models.vllm_engine import OfflineEngine
from rsd_graph.protocols import generating
from rsd_graph.speculation import count_proposals, counting_proposals
from rsd_graph.strategies.alone import target
from rsd_graph.strategies.outcome import Models, Outcome, Strategy
from rsd_graph.strategies.speculative import speculative
from rsd_graph.testing import ScriptedModel, ScriptedReward
from tests.conftest import FakeServer, free_port


class Speculating(ScriptedModel):
    """A target whose engine says that it speculates, or not, or nothing; of six proposals it keeps four."""

    def __init__(self, speculates: bool | None) -> None:
        super().__init__([Generation("\\boxed{4}", "eos", TokenUsage(prompt=10, cached=2, completion=5))], "big")
        self._speculates = speculates

    async def speculates(self) -> bool | None:
        return self._speculates

    async def generate(self, *asked: Any, **options: Any) -> list[Generation]:
        count_proposals(6, 4)
        return await super().generate(*asked, **options)


def solve(strategy: Strategy, model: Any, **settings: Any) -> Outcome:
    models = Models(ScriptedModel([RuntimeError("not asked")]), model, ScriptedReward([RuntimeError("not asked")]))
    return asyncio.run(strategy(models, "Count to ten.", RSDSettings(**settings)))


def test_every_token_is_counted() -> None:
    """What the draft proposed and read, and rejected proposals, which the target read in vain."""
    outcome = solve(speculative(), Speculating(True))
    assert (outcome.answer, outcome.stop) == ("4", "eos")
    usage = outcome.usage
    assert usage.draft == TokenUsage(prompt=10 + 5 - 4, cached=2, completion=6)
    assert usage.target == TokenUsage(prompt=10 + 2, cached=2, completion=5)
    assert (usage.discarded, usage.question, usage.response) == (2, 10, 5)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (Speculating(False), "the target big does not use speculative decoding: set `speculative` in"),
        (Speculating(None), "the target big does not say that it speculates: set"),
        (ScriptedModel([Generation("a", "eos")], "plain"), "the target plain does not say"),
    ],
)
def test_a_target_that_does_not_speculate_is_refused(model: Any, told: str) -> None:
    """Before it writes anything, with what to do."""
    with pytest.raises(ConfigurationError, match=told):
        solve(speculative(), model)
    assert model.calls == []


def test_proposals_are_counted_for_who_counts_them() -> None:
    """And for nobody else."""
    count_proposals(1, 1)
    with counting_proposals() as outer:
        with counting_proposals() as inner:
            count_proposals(5, 3)
        count_proposals(2, 0)
    assert (inner.proposed, inner.accepted, outer.proposed, outer.accepted) == (5, 3, 2, 0)


@pytest.mark.parametrize("drafts", ["small_weights", "digit_weights"])
def test_the_text_is_that_of_the_target_alone(small_weights: Path, drafts: str, request: pytest.FixtureRequest) -> None:
    """On real bytes at temperature 0: with a draft that is always right, and with one that nearly never is.

    Log-probabilities are unknown, as llama.cpp has them for some of the tokens only. A server says that it speculates.
    """
    settings = {"max_tokens": 40, "delimiter": "never"}
    alone = EmbeddedLlamaCpp(small_weights, slots=2, context=512, threads=1)
    both = EmbeddedLlamaCpp(
        small_weights, slots=2, context=512, threads=1, draft=request.getfixturevalue(drafts), draft_tokens=3
    )
    try:
        expected, found = solve(target(), alone, **settings), solve(speculative(), both, **settings)
        assert found.response == expected.response != ""
        assert found.usage.target.completion == expected.usage.target.completion == 40
        usage = found.usage
        assert usage.draft.completion > 0
        accepted = usage.draft.completion - usage.discarded
        assert accepted > 20 if drafts == "small_weights" else accepted < 10
        assert expected.usage.draft == TokenUsage()
        step = RSDSettings(max_step_tokens=8, delimiter="never")
        with generating(logprobs=True, stop_if=lambda logprobs: len(logprobs) > 1):
            (written,) = background.run(both.generate([HumanMessage("Count.")], "", settings=step))
        assert (written.usage.completion, written.logprobs, written.given_up) == (8, None, False)
        with pytest.raises(ConfigurationError, match="does not use speculative decoding"):
            solve(speculative(), alone)
        for model, speculates in ((alone, False), (both, True)):
            server = LlamaCpp(background.run(model.url()))
            assert background.run(server.speculates()) is speculates
            background.run(server.aclose())
    finally:
        background.run(alone.aclose())
        background.run(both.aclose())


def test_a_draft_that_does_not_fit_is_named(small_weights: Path, tiny_weights: Path, tmp_path: Path) -> None:
    """No model, one with another vocabulary, or none at all."""
    (broken := tmp_path / "broken.gguf").write_bytes(b"GGUF" + b"\0" * 64)
    model = EmbeddedLlamaCpp(small_weights, slots=1, context=512, threads=1, draft=broken)
    with pytest.raises(WeightsError, match=r"cannot load .* with the draft .*broken\.gguf"):
        background.run(model.start())
    other = EmbeddedLlamaCpp(small_weights, slots=1, context=512, threads=1, draft=tiny_weights)
    with pytest.raises(WeightsError, match=r"cannot speculate with the draft smollm2.*: their vocabularies differ"):
        background.run(other.start())
    missing = EmbeddedLlamaCpp(small_weights, slots=1, draft=tmp_path / "missing.gguf")
    with pytest.raises(WeightsError, match=r"missing\.gguf"):
        background.run(missing.start())


@pytest.mark.parametrize(
    ("metrics", "speculates"),
    [
        ("vllm:num_requests_running 0\nvllm:spec_decode_num_drafts_total 0", True),
        ("vllm:num_requests_running 0", False),
        ("process_cpu_seconds_total 1", None),
        ((404, {"error": {"message": "not found"}}), None),
    ],
)
def test_vllm_says_it_by_its_metrics(server: FakeServer, metrics: Any, speculates: bool | None) -> None:
    """Without them, as with `--disable-log-stats`, nobody knows."""
    server.answer("/metrics", metrics)
    assert asyncio.run(VLLM(server.url).speculates()) is speculates


def test_llama_cpp_says_it_by_its_slots(server: FakeServer) -> None:
    """A router is told which model is meant. One that hides its slots does not tell."""
    server.answer("/slots?model=big", [{"speculative": True}, {"speculative": True}])
    assert asyncio.run(LlamaCpp(server.url, name="big").speculates()) is True
    assert asyncio.run(LlamaCpp(server.url).speculates()) is None


@pytest.mark.parametrize("client", [VLLM, LlamaCpp])
def test_a_server_that_is_not_there_is_an_error(client: Any) -> None:
    with pytest.raises(ModelUnreachableError):
        asyncio.run(client(f"http://127.0.0.1:{free_port()}", retry=NO_RETRY).speculates())


@pytest.mark.parametrize(
    ("told", "speculates"),
    [([True, True], True), ([True, False], False), ([True, None], None), ([None, False], False)],
)
def test_all_replicas_have_to_speculate(told: list[bool | None], speculates: bool | None) -> None:
    members: list[Any] = [Speculating(each) for each in told]
    assert asyncio.run(ReplicatedModel(members).speculates()) is speculates
    plain: list[Any] = [Speculating(True), ScriptedModel([])]
    assert asyncio.run(ReplicatedModel(plain).speculates()) is None


@pytest.mark.parametrize(("flags", "speculates"), [(["--speculative-config", "{}"], True), (["--seed=1"], False)])
def test_an_engine_of_this_process_says_it_by_its_flags(flags: list[str], speculates: bool) -> None:
    assert asyncio.run(OfflineEngine("big", flags=flags).speculates()) is speculates
