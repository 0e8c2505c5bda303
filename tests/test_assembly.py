import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rsd_graph.assembly import Assembly, assemble
from rsd_graph.config import load_config
from rsd_graph.errors import ConfigurationError, ModelUnreachableError
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp, LlamaCpp
from rsd_graph.models.replicas import ReplicatedModel, ReplicatedReward
from rsd_graph.models.transformers_scorer import TransformersScorer
from rsd_graph.models.vllm import VLLM
from rsd_graph.models.vllm_engine import OfflineEngine
from rsd_graph.rewards.combined import CombinedReward
from rsd_graph.rewards.confidence import ConfidenceReward
from rsd_graph.rewards.families import FAMILIES
from rsd_graph.rewards.judge import JudgeReward
from rsd_graph.rewards.prm import ProcessReward
from tests.conftest import FakeServer

PRM = {"data": [{"id": "Skywork/Skywork-o1-Open-PRM-Qwen-2.5-7B", "owned_by": "vllm", "max_model_len": 4096}]}


def assembled(tables: dict[str, Any], check: Callable[[Assembly], Awaitable[None] | None] = lambda _: None) -> Assembly:
    async def run() -> Assembly:
        async with assemble(load_config(None, tables)) as models:
            check(models)
        return models

    return asyncio.run(run())


def test_the_default_is_embedded() -> None:
    """Nothing is loaded before it is used, and all sizes are known."""
    models = assembled({})
    assert isinstance(models.draft, EmbeddedLlamaCpp)
    assert isinstance(models.target, EmbeddedLlamaCpp)
    assert isinstance(models.reward, ConfidenceReward)
    assert models.parameters is not None
    assert models.parameters.reward == 0


def test_the_confidence_has_the_curve_of_its_draft() -> None:
    """As the reward, and in the wrappers that ask how sure the draft is."""
    curve = {"intercept": -3.0, "slope": 0.5}
    theirs = ConfidenceReward(intercept=-3.0, slope=0.5)
    assert assembled({"draft": {"confidence": curve}}).reward == theirs
    assert assembled({}).reward == ConfidenceReward()
    wrapped = assembled({"draft": {"confidence": curve}, "latency": {"gate": 0.9}}).faster[2]
    assert getattr(wrapped, "confidence", None) == theirs


def test_an_embedded_target_speculates_if_it_is_to() -> None:
    """And nothing else does."""
    models = assembled({"target": {"speculative": 3}})
    assert isinstance(models.draft, EmbeddedLlamaCpp)
    assert isinstance(models.target, EmbeddedLlamaCpp)
    assert asyncio.run(models.target.speculates()) is True
    assert asyncio.run(models.draft.speculates()) is False
    plain = assembled({}).target
    assert isinstance(plain, EmbeddedLlamaCpp)
    assert asyncio.run(plain.speculates()) is False


def test_a_server_tells_what_it_is(server: FakeServer) -> None:
    """llama.cpp by its properties; a process reward model by its model's name."""
    server.answer("/props", {"default_generation_settings": {}})
    assert isinstance(assembled({"draft": {"url": server.url}}).draft, LlamaCpp)
    server.answer("/props", (404, {}))
    server.answer("/v1/models", PRM)
    models = assembled({"draft": {"url": server.url}, "reward": {"url": server.url}})
    assert isinstance(models.draft, VLLM)
    assert isinstance(models.reward, ProcessReward)
    assert models.reward.name == "Skywork/Skywork-o1-Open-PRM-Qwen-2.5-7B"


def test_of_several_models_the_named_one_is_asked(server: FakeServer) -> None:
    """And not the first that the server lists."""
    server.answer("/v1/models", {"data": [{"id": "base", "owned_by": "vllm"}, *PRM["data"]]})
    named = {"url": server.url, "model": PRM["data"][0]["id"]}
    assert assembled({"reward": named}).reward.name == named["model"]


def test_any_other_chat_model_is_a_judge(server: FakeServer) -> None:
    """On vLLM its words' probabilities are read as such; on others, from what a chat model returns."""
    server.answer("/v1/models", {"data": [{"id": "chat", "owned_by": "vllm"}]})
    assert isinstance(assembled({"reward": {"url": server.url}}).reward, ProcessReward)
    server.answer("/v1/models", {"data": [{"id": "chat", "owned_by": "somebody"}]})
    assert isinstance(assembled({"reward": {"url": server.url}}).reward, JudgeReward)


def test_a_served_reward_is_combined_with_the_confidence(server: FakeServer) -> None:
    """By the curve in the settings."""
    server.answer("/v1/models", PRM)
    curve = {"intercept": 2.0, "value": 0.2, "surprisal": 1.0}
    models = assembled({"reward": {"url": server.url, "kind": "combined", "centre": 0.1, "curve": curve}})
    assert isinstance(models.reward, CombinedReward)
    assert isinstance(models.reward.trained, ProcessReward)


def test_several_addresses_are_several_servers(server: FakeServer) -> None:
    """For a model and for a reward."""
    server.answer("/props", (404, {}))
    server.answer("/v1/models", PRM)
    place = {"url": server.url, "replicas": [f"{server.url}/"]}
    models = assembled({"draft": place, "reward": place})
    assert isinstance(models.draft, ReplicatedModel)
    assert isinstance(models.reward, ReplicatedReward)


def test_a_model_of_rsd_serve_that_does_not_run_says_how_to_start_it() -> None:
    """Its address is known, and nothing answers there."""
    with pytest.raises(ModelUnreachableError, match="`rsd serve` with the same settings starts it"):
        assembled({"draft": {"model": "x-1B", "port": 1}})


def test_offline_models_are_engines_in_this_process() -> None:
    """Not loaded before they are used."""
    models = assembled({"preset": "qwen2.5-math-7b", "mode": "offline"})
    assert isinstance(models.draft, OfflineEngine)
    assert isinstance(models.reward, ProcessReward)
    assert models.parameters is not None
    assert (models.parameters.draft, models.parameters.reward) == (1.54e9, 1.54e9)


def test_a_reward_model_may_be_computed_in_this_process() -> None:
    """By transformers, without any server."""
    model = {"model": "Qwen/Qwen2.5-Math-PRM-7B", "engine": "transformers"}
    assert assembled({"reward": model}).reward.name == "Qwen/Qwen2.5-Math-PRM-7B"


def test_a_reward_file_runs_beside_an_embedded_draft_only() -> None:
    """Beside a draft on a server, the reward has to be served too."""
    with pytest.raises(ConfigurationError, match="rsd export-reward"):
        assembled({"draft": {"model": "m-1B"}, "reward": {"kind": "trained"}, "mode": "offline"})


def test_a_judge_without_a_model_of_its_own_is_the_embedded_target(server: FakeServer) -> None:
    """A target on a server is not used as one by itself."""
    server.answer("/props", (404, {}))
    with pytest.raises(ConfigurationError, match="name the judge's own `url` or `model`"):
        assembled({"target": {"url": server.url}, "reward": {"kind": "judge"}})


def test_a_judge_that_vllm_does_not_serve_has_one_address(server: FakeServer) -> None:
    """Its client cannot be spread over several."""
    server.answer("/v1/models", {"data": [{"id": "chat", "owned_by": "somebody"}]})
    with pytest.raises(ConfigurationError, match="has one address"):
        assembled({"reward": {"url": server.url, "replicas": [server.url]}})


def test_everything_is_closed_also_after_an_error(server: FakeServer) -> None:
    """In the block, and while it is put together: no connection is left open."""

    async def run() -> None:
        async with assemble(load_config(None, {"draft": {"url": server.url}})):
            raise RuntimeError("in the block")

    server.answer("/props", {"default_generation_settings": {}})
    with pytest.raises(RuntimeError, match="in the block"):
        asyncio.run(run())
    with pytest.raises(ModelUnreachableError):
        assembled({"draft": {"url": server.url}, "target": {"url": "http://127.0.0.1:1"}})


def test_the_served_judge_closes_its_own_connections(server: FakeServer) -> None:
    """It is among what is running."""
    server.answer("/v1/models", {"data": [{"id": "chat", "owned_by": "somebody"}]})
    models = assembled({"reward": {"url": server.url}})
    reward: object = models.reward
    assert list(models.running_for_reward) == [reward]


def test_what_the_reward_needs_is_known_apart(server: FakeServer) -> None:
    """`rsd evaluate-reward` starts that and no more."""
    server.answer("/v1/models", PRM)
    models = assembled({"reward": {"url": server.url}})
    everything: list[object] = [models.draft, models.target, models.reward]
    assert list(models.running) == everything
    assert list(models.running_for_reward) == everything[2:]
    assert list(assembled({}).running_for_reward) == []


def test_the_family_reads_its_own_head_in_this_process() -> None:
    """Plain transformers is told which layers of the checkpoint are the head."""
    model = {"model": "Skywork/Skywork-o1-Open-PRM-Qwen-2.5-1.5B", "engine": "transformers"}
    reward = assembled({"reward": model}).reward
    assert isinstance(reward, ProcessReward)
    assert isinstance(reward.backend, TransformersScorer)
    assert reward.backend._head == FAMILIES["skywork"].head


def test_a_key_reaches_the_server(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is not set is an error before anything is asked."""
    monkeypatch.delenv("RSD_TEST_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="RSD_TEST_KEY"):
        assembled({"draft": {"url": server.url, "api_key_env": "RSD_TEST_KEY"}})
    assert server.requests == []


def test_runs_get_the_models_in_the_wrappers_that_the_configuration_asks_for(server: FakeServer) -> None:
    """And whoever asks a model by itself gets it plain; by default nothing wraps a model in this process."""
    models = assembled({})
    assert models.faster == (models.draft, models.target, models.reward)
    server.answer("/v1/models", PRM)
    served = {role: {"url": server.url} for role in ("draft", "target", "reward")}
    models = assembled(served)
    assert isinstance(models.draft, VLLM)
    assert isinstance(models.reward, ProcessReward)
    draft, target, reward = models.faster
    assert (draft is models.draft, target is models.target, reward is models.reward) == (False, True, False)
    assert (draft.name, reward.name) == (models.draft.name, models.reward.name)
    models = assembled({**served, "latency": {"ahead": False}})
    assert models.faster == (models.draft, models.target, models.reward)
    models = assembled({**served, "latency": {"ahead": False, "warm": True, "gate": 0.99, "hedge": 0.2}})
    assert models.faster[0] is models.draft
    assert models.faster[1] is not models.target
