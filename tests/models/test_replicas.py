import asyncio
from collections import Counter

import pytest
from langchain_core.messages import HumanMessage

from rsd_graph import Generation, RSDSettings
from rsd_graph.errors import ModelUnreachableError
from rsd_graph.models.replicas import ReplicatedModel, ReplicatedReward
from rsd_graph.testing import ScriptedModel, ScriptedReward

SAID = Generation("yes", "eos")


class Server(ScriptedModel):
    started = closed = False

    async def start(self) -> None:
        self.started = True

    async def aclose(self) -> None:
        self.closed = True


class RewardServer(ScriptedReward):
    async def start(self) -> None: ...

    async def aclose(self) -> None: ...


def generate(model: ReplicatedModel, problem: str) -> None:
    asyncio.run(model.generate([HumanMessage(problem)], "", settings=RSDSettings()))


def test_a_conversation_stays_with_its_server() -> None:
    """Its prefix is cached there; different conversations are spread evenly."""
    servers = [Server([SAID]) for _ in range(3)]
    model = ReplicatedModel(servers)
    for turn in range(2):
        for problem in range(60):
            generate(model, f"problem {problem}")
            assert sum(len(server.calls) for server in servers) == turn * 60 + problem + 1
    asked = [Counter(messages[0].text for messages, _, _ in server.calls) for server in servers]
    assert all(set(each.values()) == {2} for each in asked)
    assert all(10 <= len(each) <= 30 for each in asked)


def test_a_server_that_is_gone_is_passed_over() -> None:
    """The next one answers; with none left, the last error is raised."""
    gone = Server([ModelUnreachableError("gone")])
    here = Server([SAID])
    for problem in range(8):
        generate(ReplicatedModel([gone, here]), f"problem {problem}")
    assert len(here.calls) == 8
    assert 0 < len(gone.calls) < 8
    with pytest.raises(ModelUnreachableError):
        generate(ReplicatedModel([gone, gone]), "x")


def test_rewards_are_spread_in_the_same_way() -> None:
    """A reward server that is gone is passed over too."""
    gone = RewardServer([ModelUnreachableError("gone")] * 9)
    reward = ReplicatedReward([gone, RewardServer([0.25])])
    for problem in range(4):
        (score,) = asyncio.run(reward.score([HumanMessage(f"{problem}")], [], [SAID]))
        assert score.reward == 0.25


def test_starting_and_closing_reach_every_member() -> None:
    """No member is left unloaded, and none keeps its connections."""
    servers = [Server([SAID]), Server([SAID])]
    model = ReplicatedModel(servers)
    asyncio.run(model.start())
    assert [(server.started, server.closed) for server in servers] == [(True, False)] * 2
    asyncio.run(model.aclose())
    assert all(server.closed for server in servers)


def test_the_name_is_the_first_members() -> None:
    """All members serve the same model."""
    assert ReplicatedModel([Server([SAID], "qwen"), Server([SAID], "other")]).name == "qwen"
