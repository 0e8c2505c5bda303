import json
from typing import Any

import pytest

from rsd_graph.config import Config, load_config
from rsd_graph.errors import ConfigurationError
from rsd_graph.serving.gpus import GPU
from rsd_graph.serving.plan import USABLE, ServerPlan, offline_flags, plan


def gpus(count: int, gib: float = 80) -> list[GPU]:
    return [GPU(index, gib) for index in range(count)]


def flag(server: ServerPlan, name: str) -> str | None:
    return server.command[server.command.index(name) + 1] if name in server.command else None


def shares(servers: list[ServerPlan]) -> dict[int, float]:
    """What is taken of each GPU."""
    taken: dict[int, float] = {}
    for server in servers:
        for index in server.gpus:
            taken[index] = taken.get(index, 0) + float(flag(server, "--gpu-memory-utilization") or 1)
    return taken


def family(name: str, **tables: Any) -> Config:
    return load_config(None, {"preset": name, **tables})


def test_one_gpu_is_shared_by_all_three() -> None:
    """Each has room for its weights, and together they take no more of it than vLLM would."""
    draft, target, reward = servers = plan(family("qwen2.5-math-7b"), gpus(1))
    assert [server.gpus for server in servers] == [(0,)] * 3
    assert shares(servers)[0] <= USABLE
    assert float(flag(target, "--gpu-memory-utilization") or 0) * 80 > 7.6 * 2
    assert [server.url[-4:] for server in (draft, target, reward)] == ["8000", "8001", "8002"]


def test_of_two_gpus_the_target_has_one() -> None:
    """The small models share the other."""
    draft, target, reward = servers = plan(family("qwen2.5-math-7b"), gpus(2))
    assert draft.gpus == reward.gpus != target.gpus
    assert all(taken <= USABLE for taken in shares(servers).values())


def test_a_large_target_is_spread_over_four() -> None:
    """The draft and the reward model share GPUs with it, but not the same one."""
    draft, target, reward = servers = plan(family("qwen2.5-math-72b"), gpus(4))
    assert (target.gpus, flag(target, "--tensor-parallel-size")) == ((0, 1, 2, 3), "4")
    assert len({*draft.gpus, *reward.gpus}) == 2
    assert all(taken <= USABLE for taken in shares(servers).values())


def test_models_that_do_not_fit_are_refused() -> None:
    """The message says by how much, and what to do."""
    with pytest.raises(ConfigurationError, match=r"GPU 0 \(80 GiB\) is \d+ GiB too small for draft .*quantised"):
        plan(family("qwen2.5-math-72b"), gpus(1))


def test_what_is_given_stands() -> None:
    """GPUs, share of the memory, ports, revision and more flags."""
    config = family(
        "qwen2.5-math-7b",
        target={"gpus": [1], "memory": 0.5, "port": 9001, "revision": "abc", "flags": ["--dtype", "half"]},
        draft={"tensor_parallel": 2},
    )
    draft, target, _ = plan(config, gpus(2))
    assert (target.gpus, flag(target, "--gpu-memory-utilization")) == ((1,), "0.50")
    assert (target.url, flag(target, "--revision"), flag(target, "--dtype")) == ("http://127.0.0.1:9001", "abc", "half")
    assert flag(draft, "--tensor-parallel-size") == "2"


@pytest.mark.parametrize(
    ("draft", "message"),
    [
        ({"gpus": [7]}, "no GPU 7; there are"),
        ({"tensor_parallel": 4}, "4 GPUs are asked for, and 1 are here"),
        ({"model": "mine"}, "does not say how large"),
        ({"port": 8001}, "the same port"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(draft: dict[str, Any], message: str) -> None:
    """The message names the model or the number."""
    with pytest.raises(ConfigurationError, match=message):
        plan(family("qwen2.5-math-7b", draft=draft), gpus(1))


def test_only_models_of_ours_are_served() -> None:
    """A model with a `url` runs already; if no model is left, that is an error."""
    config = family("qwen2.5-math-7b", target={"url": "http://elsewhere"}, reward={"url": "http://elsewhere"})
    assert [server.role for server in plan(config, gpus(1))] == ["draft"]
    with pytest.raises(ConfigurationError, match="nothing to serve"):
        plan(load_config(None), gpus(1))


def test_every_server_caches_prefixes_and_counts_them() -> None:
    """And ignores the sampling defaults of the model's repository."""
    for server in plan(family("qwen2.5-math-7b"), []):
        assert {"--enable-prefix-caching", "--enable-prompt-tokens-details"} <= set(server.command)
        assert flag(server, "--generation-config") == "vllm"
        assert (server.gpus, server.environment) == ((), {})


def test_qwens_prm_is_read_at_the_last_step() -> None:
    """Its own architecture would encode the whole answer at every step."""
    *_, reward = plan(family("qwen2.5-math-7b-qwen-prm"), gpus(1))
    assert "Qwen2ForLastStepReward" in (flag(reward, "--hf-overrides") or "")


def test_quantised_models_count_as_such() -> None:
    """A 72B in four bits fits on one GPU."""
    config = family("qwen2.5-math-72b", target={"model": "Qwen/Qwen2.5-72B-Instruct-AWQ"}, draft={"url": "http://a"})
    assert plan(config, gpus(1))[0].gpus == (0,)


def test_a_command_reads_as_one_would_type_it() -> None:
    """For a shell, with its GPUs before it."""
    gpu, text = str(plan(family("qwen2.5-math-7b-qwen-prm"), gpus(1))[2]).split(" vllm ", 1)
    assert gpu == "CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=0"
    first, second, *_ = text.split(" \\\n    ")
    assert (first, second) == ("serve Qwen/Qwen2.5-Math-PRM-7B", "--host 127.0.0.1")
    assert """--hf-overrides '{"architectures": ["Qwen2ForLastStepReward"]}'""" in text


def test_what_others_use_of_a_gpu_is_left_to_them() -> None:
    """The plan uses the free memory only, and prefers the emptier GPU."""
    busy = [GPU(0, 80, free=10), GPU(1, 80, free=80)]
    assert [server.gpus for server in plan(family("qwen2.5-math-7b"), busy)] == [(1,)] * 3
    with pytest.raises(ConfigurationError, match="too small"):
        plan(family("qwen2.5-math-7b"), busy[:1])


def test_where_no_gpu_is_found_the_configuration_stands() -> None:
    """There may be one even without `nvidia-smi`."""
    draft, *_ = plan(family("qwen2.5-math-7b", draft={"gpus": [2], "memory": 0.25}), [])
    assert (draft.environment["CUDA_VISIBLE_DEVICES"], flag(draft, "--gpu-memory-utilization")) == ("2", "0.25")


def test_offline_models_are_not_served() -> None:
    """They need no server."""
    with pytest.raises(ConfigurationError, match="needs no servers"):
        plan(family("qwen2.5-math-7b", mode="offline"), gpus(1))


def test_engines_in_this_process_share_the_first_gpu() -> None:
    """Each has a share of the memory; or all of it, while the others sleep."""
    config = family("qwen2.5-math-7b", mode="offline")
    assert "0.40" in offline_flags(config, "target", gpus(2))
    asleep = family("qwen2.5-math-7b", mode="offline", serve={"sleep": True})
    assert "0.92" in offline_flags(asleep, "target", gpus(2))


def test_a_target_may_speculate_with_the_draft() -> None:
    """The engine loads the draft's weights beside the target's, split as the target is; there is memory for both."""
    plain = plan(family("llama-3-70b"), gpus(4))[1]
    draft, target, _ = plan(family("llama-3-70b", target={"speculative": 5}), gpus(4))
    assert json.loads(flag(target, "--speculative-config") or "") == {
        "method": "draft_model",
        "model": draft.model,
        "num_speculative_tokens": 5,
        "draft_tensor_parallel_size": int(flag(target, "--tensor-parallel-size") or 1),
    }
    assert flag(plain, "--speculative-config") is None
    assert flag(draft, "--speculative-config") is None
    tight = family("llama-3-8b", draft={"model": "d-15b"}, reward={"url": "http://127.0.0.1:1"})
    assert len(plan(tight, gpus(1))) == 2
    with pytest.raises(ConfigurationError, match="too small"):
        plan(family("llama-3-8b", draft={"model": "d-15b"}, target={"speculative": 5}), gpus(1))


def test_an_engine_in_this_process_may_speculate_too() -> None:
    """With the draft's revision, if it has one."""
    tables = {"target": {"speculative": 3}, "draft": {"revision": "v2"}}
    flags = offline_flags(family("llama-3-8b", mode="offline", **tables), "target", gpus(1))
    assert json.loads(flags[flags.index("--speculative-config") + 1])["revision"] == "v2"
