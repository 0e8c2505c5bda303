"""A whole run with vLLM engines in this process, and no server."""

import asyncio
from collections.abc import Iterator

import pytest
from langchain_core.messages import HumanMessage

from rsd_graph import RSDSettings, create_rsd_graph
from rsd_graph._internal import background
from rsd_graph.assembly import Assembly, assemble
from rsd_graph.config import load_config
from rsd_graph.errors import ContextOverflowError
from rsd_graph.models.transformers_scorer import TransformersScorer
from rsd_graph.models.vllm_engine import OfflineEngine
from rsd_graph.rewards.families.judge import judge
from rsd_graph.rewards.families.skywork import SKYWORK, skywork
from rsd_graph.rewards.prm import ProcessReward
from tests.vllm.checkpoints import checkpoint
from tests.vllm.conftest import ENGINE_FLAGS

pytestmark = pytest.mark.filterwarnings("default")  # vLLM's own warnings, once it is imported here

STEPS = ["First, \\(2+2=4\\).", "ünïcode 漢字", "", "So it is \\boxed{4}."]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Assembly]:
    """Draft, target and reward, as `mode = "offline"` loads them."""
    file = tmp_path_factory.mktemp("offline") / "rsd.toml"
    roles = {"draft": "smollm2", "target": "draft", "reward": "skywork"}
    file.write_text(
        'mode = "offline"\n'
        + "".join(
            f'[{role}]\nmodel = "{checkpoint(name)}"\nflags = {list(ENGINE_FLAGS)}\n' for role, name in roles.items()
        )
        + 'kind = "skywork"\n'
    )
    assembling = assemble(load_config(file))
    assembled = background.run(assembling.__aenter__())
    background.run(assembled.start())
    yield assembled
    background.run(assembling.__aexit__(None, None, None))


def test_a_run_needs_no_server(models: Assembly) -> None:
    """Both models write, tokens are counted, cached ones of all three too, and a run is repeated by its seed."""
    graph = create_rsd_graph(models.draft, models.target, models.reward)
    context = RSDSettings(weighting="constant", max_steps=4, max_step_tokens=32)
    outputs = graph.batch([{"problem": "Tom has 3 apples and buys 4. How many has he?"}] * 2, context=context)
    assert outputs[0]["response"] == outputs[1]["response"]
    assert {step.author for step in outputs[0]["steps"]} == {"draft", "target"}
    usage = outputs[0]["usage"]
    assert all(each.prompt > each.cached > 0 for each in (usage.draft, usage.reward))
    assert usage.response == sum(step.tokens for step in outputs[0]["steps"]) > 0


def test_rewards_are_those_of_transformers(models: Assembly) -> None:
    """Through the same scoring."""
    engine = models.reward.backend if isinstance(models.reward, ProcessReward) else None
    assert engine is not None
    reference = TransformersScorer(checkpoint("skywork"), head=SKYWORK.head, dtype="float32")
    for count in range(1, len(STEPS) + 1):
        ours, theirs = (
            asyncio.run(skywork(each, "What is 2+2?", STEPS[:count])).reward for each in (engine, reference)
        )
        assert ours == pytest.approx(theirs, abs=1e-3)


def test_steps_end_and_overflow_as_on_a_server(models: Assembly) -> None:
    """Delimiter and length are told apart; a prompt beyond the context is named."""

    async def said(problem: str, tokens: int) -> str:
        settings = RSDSettings(max_step_tokens=tokens)
        return (await models.target.generate([HumanMessage(problem)], "", settings=settings))[0].finish

    problem = "Tom has 3 apples and buys 4. How many has he? Reason step by step."
    assert asyncio.run(said(problem, 200)) == "delimiter"
    assert asyncio.run(said(problem, 3)) == "length"
    with pytest.raises(ContextOverflowError):
        asyncio.run(said("word " * 9000, 3))


def test_labels_are_read_from_a_language_model(models: Assembly) -> None:
    """As on a server: here by the judge's scoring."""
    engine = next(each for each in models.running if isinstance(each, OfflineEngine) and each.name.endswith("draft"))
    reference = TransformersScorer(checkpoint("draft"), dtype="float32")
    ours, theirs = (asyncio.run(judge(each, "What is 2+2?", STEPS)).reward for each in (engine, reference))
    assert ours == pytest.approx(theirs, abs=1e-3)
