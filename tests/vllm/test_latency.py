"""What `rsd_graph.latency` does on a real vLLM server."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from langchain_core.messages import BaseMessage

from rsd_graph import Generation, RSDSettings, Score, Step, TokenUsage, create_rsd_graph
from rsd_graph.latency import draft_ahead, warmed
from rsd_graph.models.vllm import VLLM
from rsd_graph.testing import ScriptedModel, ScriptedReward
from tests.vllm.checkpoints import checkpoint
from tests.vllm.conftest import BLOCK, serving
from tests.vllm.metrics import counters

ENDLESS = 4000
"""Tokens of a step: minutes of computing, unless it is ended."""
PROBLEM: Any = {"problem": "Count from 1 to 5000, with commas between the numbers."}


@pytest.fixture(scope="module")
def draft_url(logs: Path) -> Iterator[str]:
    """The address of the draft's server."""
    with serving(checkpoint("draft"), logs, role="draft") as url:
        yield url


def in_flight(url: str) -> int:
    """Requests that the server computes or keeps waiting."""
    text = httpx2.get(f"{url}/metrics", trust_env=False).text
    found = re.findall(r"^vllm:num_requests_(?:running|waiting)\{.*\} (\S+)$", text, re.MULTILINE)
    return int(sum(map(float, found)))


class FirstStepKnown:
    """A draft whose first step is there at once; all others the server writes."""

    def __init__(self, model: VLLM) -> None:
        self.name = model.name
        self.model = model

    async def generate(
        self, messages: Sequence[BaseMessage], response: str, *, settings: RSDSettings, n: int = 1
    ) -> list[Generation]:
        if not response:
            # cut in the middle, so that no delimiter follows and the model counts on
            return [Generation(", ".join(map(str, range(1, 60))), "length", TokenUsage(completion=180))]
        return await self.model.generate(messages, response, settings=settings, n=n)


class RejectsOnceTheDraftWrites:
    """A reward that comes when the server has written something of the step after the one that it rejects."""

    name = "slow"

    def __init__(self, url: str) -> None:
        self.url = url
        self.before = counters(url)["completion"]

    async def score(
        self,
        messages: Sequence[BaseMessage],  # noqa: ARG002  # of the protocol
        steps: Sequence[Step],  # noqa: ARG002
        candidates: Sequence[Generation],  # noqa: ARG002
    ) -> list[Score]:
        while counters(self.url)["completion"] < self.before + 5:  # noqa: ASYNC110  # the server's
            await asyncio.sleep(0.1)
        assert in_flight(self.url) == 1
        return [Score(0.0)]


def test_a_rejection_stops_the_server(draft_url: str) -> None:
    """One second after it, the server computes nothing for the run, and writes no further token."""
    model = VLLM(draft_url)
    draft, reward = draft_ahead(FirstStepKnown(model), RejectsOnceTheDraftWrites(draft_url))
    target = ScriptedModel([Generation(r"\boxed{7}", "eos")])
    context = RSDSettings(delimiter="<never written>", max_step_tokens=ENDLESS, max_tokens=2 * ENDLESS)

    async def solve() -> tuple[Any, int, int, int]:
        out = await create_rsd_graph(draft, target, reward).ainvoke(PROBLEM, context=context)
        await asyncio.sleep(1)
        left, written = in_flight(draft_url), counters(draft_url)["completion"]
        await asyncio.sleep(2)
        later = counters(draft_url)["completion"]
        await model.aclose()
        return out, left, written, later

    out, left, written, later = asyncio.run(solve())
    print(f"tokens one second after the rejection, and three: {written}, {later}")
    assert out["response"] == r"\boxed{7}"
    assert left == 0
    assert later == written < ENDLESS


def test_a_warm_target_finds_what_was_accepted_in_its_cache(draft_url: str) -> None:
    """When it is called after accepted steps it computes the rest of a block, and not the steps."""
    text = " ".join(f"{number} apples and {number} pears are {2 * number} fruits." for number in range(30))
    steps = [Generation(f"{number}. {text}", "delimiter", TokenUsage(completion=300)) for number in range(4)]

    async def solve(*, warm: bool) -> TokenUsage:
        model = VLLM(draft_url)
        reward: Any = ScriptedReward([1.0, 1.0, 1.0, 0.0])

        seen: list[TokenUsage] = []

        class Watched:
            name = "target"

            async def generate(self, *args: Any, settings: RSDSettings, n: int = 1) -> list[Generation]:
                generations = await model.generate(*args, settings=settings, n=n)
                seen.append(generations[0].usage)
                return generations

        class Slowly(ScriptedModel):
            async def generate(
                self, messages: Sequence[BaseMessage], response: str, *, settings: RSDSettings, n: int = 1
            ) -> list[Generation]:
                while warm and len(seen) < response.count("\n\n"):  # noqa: ASYNC110  # until what was kept is read
                    await asyncio.sleep(0.05)
                return await super().generate(messages, response, settings=settings, n=n)

        target: Any = Watched()
        if warm:
            target, reward = warmed(target, reward)
        problem: Any = {"problem": f"{'Warm' if warm else 'Cold'}: how many fruits are these?"}
        context = RSDSettings(max_steps=4, max_step_tokens=8)
        await create_rsd_graph(Slowly(steps), target, reward).ainvoke(problem, context=context)
        await model.aclose()
        return seen[-1]

    cold, warm = asyncio.run(solve(warm=False)), asyncio.run(solve(warm=True))
    print(
        f"prompt tokens that the target computed when it was called: {cold.computed - cold.completion} cold, "
        f"{warm.computed - warm.completion} warm"
    )
    assert warm.prompt - warm.cached <= 2 * BLOCK
    assert cold.prompt - cold.cached > 10 * BLOCK
