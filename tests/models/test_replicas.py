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
    closed = False

    async def aclose(self) -> None:
        self.closed = True


class RewardServer(ScriptedReward):
    async def aclose(self) -> None: ...


def generate(model: ReplicatedModel, problem: str) -> None:
    asyncio.run(model.generate([HumanMessage(problem)], "", settings=RSDSettings()))


def test_a_conversation_stays_with_its_server() -> None:
    """Its prefix is cached there; conversations as such are spread evenly."""
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
    """Around one that is gone as well."""
    gone = RewardServer([ModelUnreachableError("gone")] * 9)
    reward = ReplicatedReward([gone, RewardServer([0.25])])
    for problem in range(4):
        (score,) = asyncio.run(reward.score([HumanMessage(f"{problem}")], [], [SAID]))
        assert score.reward == 0.25


def test_closing_closes_all() -> None:
    """Connections of every server."""
    servers = [Server([SAID]), Server([SAID])]
    asyncio.run(ReplicatedModel(servers).aclose())
    assert all(server.closed for server in servers)
