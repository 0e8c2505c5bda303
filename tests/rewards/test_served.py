import asyncio
from collections.abc import Sequence

import pytest
from langchain_core.messages import HumanMessage

from rsd_graph import Generation, Score, Step
from rsd_graph.errors import ConfigurationError, ModelUnreachableError
from rsd_graph.models.retries import RetryPolicy
from rsd_graph.protocols import ScoringBackend
from rsd_graph.rewards import process_reward
from rsd_graph.rewards.families import FAMILIES
from rsd_graph.rewards.family import Family
from rsd_graph.rewards.prm import ProcessReward
from tests.conftest import FakeServer

SKYWORK = "Skywork/Skywork-o1-Open-PRM-Qwen-2.5-7B"


def served(server: FakeServer, name: str, *logits: float) -> None:
    server.answer("/v1/models", {"data": [{"id": name, "owned_by": "vllm", "max_model_len": 4096}]})
    server.answer("/tokenize", {"tokens": [7]})
    server.answer("/classify", {"data": [{"probs": list(logits)}], "usage": {"prompt_tokens": 3}})


def score(reward: ProcessReward, times: int = 1) -> float:
    """The reward of a step, asked for so many times; then the connections are closed."""

    async def run() -> float:
        try:
            for _ in range(times):
                scores = await reward.score([HumanMessage("2+2?")], [Step("one", "draft")], [Generation("two", "eos")])
            return scores[0].reward
        finally:
            await reward.aclose()

    return asyncio.run(run())


def test_the_family_is_recognized_from_the_served_name(server: FakeServer) -> None:
    """Asked of the server once, with the first step and not before."""
    served(server, SKYWORK, 0.0)
    reward = process_reward(server.url)
    assert server.requests == []
    assert score(reward, times=2) == 0.5
    assert reward.name == SKYWORK
    assert [path for path, _ in server.requests].count("/v1/models") == 1


def test_a_given_kind_goes_before_the_served_name(server: FakeServer) -> None:
    """An own fine-tune has a name that no family claims."""
    served(server, "mine", 1.5)
    assert score(process_reward(server.url, kind="outcome", centre=1.5)) == 0.5
    assert score(process_reward(server.url, kind="outcome", centre=0.0, scale=0.001)) == 1.0


def test_a_name_that_no_family_claims_is_refused_with_the_kinds(server: FakeServer) -> None:
    """At once where the name is given; with the first step where only the server knows it."""
    with pytest.raises(ConfigurationError, match=r"'mine-7b' does not say .*skywork, qwen-prm"):
        process_reward("http://127.0.0.1:1", model="mine-7b")
    served(server, "mine-7b", 0.0)
    reward = process_reward(server.url)
    with pytest.raises(ConfigurationError, match="'mine-7b' does not say"):
        score(reward)


def test_a_kind_that_does_not_exist_is_refused() -> None:
    """By name, with those that do."""
    with pytest.raises(ConfigurationError, match=r"'skywerk' is no kind .*skywork"):
        process_reward("http://127.0.0.1:1", kind="skywerk")


def test_a_server_that_does_not_run_is_named() -> None:
    """With its address."""
    reward = process_reward("http://127.0.0.1:1", retry=RetryPolicy(attempts=1, patience=0))
    with pytest.raises(ModelUnreachableError, match=r"127\.0\.0\.1:1"):
        score(reward)


def test_the_named_model_is_asked(server: FakeServer) -> None:
    """By the name that the server knows it under, with every request."""
    served(server, SKYWORK, 0.0)
    assert score(process_reward(server.url, model=SKYWORK, api_key="secret", parameters=7e9)) == 0.5
    assert {body["model"] for path, body in server.requests if path != "/v1/models"} == {SKYWORK}


def test_starting_asks_nothing_of_the_server(server: FakeServer) -> None:
    """It runs already; what runs in this process is loaded."""

    async def run() -> None:
        reward = process_reward(server.url)
        await reward.start()
        await reward.aclose()

    asyncio.run(run())
    assert server.requests == []


def test_a_new_family_is_one_file_and_one_row(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recognized by its served name, accepted as a kind, served with its flags: nothing else has to know it."""
    from rsd_graph.config import load_config
    from rsd_graph.serving.plan import plan

    async def acme(backend: ScoringBackend, problem: str, steps: Sequence[str]) -> Score:  # the file ...
        reading = await backend.head(await backend.encode(f"{problem}|{'|'.join(steps)}"))
        return Score(reading.values[0], reading.usage)

    family = Family(score=acme, names="acme-prm", vllm_flags=("--trust-remote-code",))
    monkeypatch.setitem(FAMILIES, "acme", family)  # ... and the row

    served(server, "acme/ACME-PRM-3b", 0.25)
    assert score(process_reward(server.url)) == 0.25
    assert next(body for path, body in server.requests if path == "/tokenize")["prompt"] == "2+2?|one|two"
    assert load_config(None, {"reward": {"url": server.url, "kind": "acme"}}).reward.kind == "acme"
    (planned,) = plan(load_config(None, {"reward": {"model": "acme/acme-prm-3b"}}), [])
    assert planned.command[-1] == "--trust-remote-code"
