import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rsd_graph.assembly import Assembly, assemble
from rsd_graph.config import load_config
from rsd_graph.errors import ModelUnreachableError
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp, LlamaCpp
from rsd_graph.models.replicas import ReplicatedModel, ReplicatedReward
from rsd_graph.models.vllm import VLLM
from rsd_graph.models.vllm_engine import OfflineEngine
from rsd_graph.rewards.combined import CombinedReward
from rsd_graph.rewards.confidence import ConfidenceReward
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
