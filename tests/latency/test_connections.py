import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from rsd_graph import create_rsd_graph
from rsd_graph.latency import draft_ahead, hedged
from rsd_graph.models.vllm import VLLM
from tests.conftest import FakeServer
from tests.latency.slow import SlowModel, SlowReward, steps


class HoldingServer(FakeServer):
    """vLLM's endpoints, as far as they are asked. It answers the first `answers` completions, and holds all others."""

    def __init__(self, answers: int) -> None:
        super().__init__()
        self.left = answers
        self.began = threading.Event()
        self.closed = threading.Event()
        """The client has closed the connection of a completion that was held."""
        self.answer("/v1/models", {"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 1000}]})
        self.answer("/tokenize", {"tokens": [1, 2, 3]})
        self.answer(
            "/v1/completions",
            {
                "choices": [{"text": "step", "finish_reason": "stop", "stop_reason": "\n\n", "logprobs": None}],
                "usage": {"prompt_tokens": 3, "completion_tokens": 2},
            },
        )

    def _answer(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        if handler.path == "/v1/completions":
            self.left -= 1
            if self.left < 0:
                self.began.set()
                if not handler.connection.recv(1):  # nothing comes until the client closes it
                    self.closed.set()
                handler.close_connection = True
                return
        super()._answer(handler, body)


@pytest.fixture
def holding() -> Iterator[HoldingServer]:
    server = HoldingServer(1)
    yield server
    server.close()


class RewardAfter(SlowReward):
    """Scores as soon as the server has the early request."""

    def __init__(self, reward: float, began: threading.Event) -> None:
        super().__init__([reward])
        self.began = began

    async def score(self, *args: Any) -> Any:
        while not self.began.is_set():  # noqa: ASYNC110  # another thread's
            await asyncio.sleep(0.001)
        return await super().score(*args)


def test_a_rejection_closes_the_drafts_connection(holding: HoldingServer) -> None:
    """So that the server stops computing what nobody needs."""
    draft = VLLM(holding.url)
    ahead, reward = draft_ahead(draft, RewardAfter(0.0, holding.began))

    async def solve() -> Any:
        out = await create_rsd_graph(ahead, SlowModel(steps("t", 0)), reward).ainvoke({"problem": "p"})
        assert await asyncio.to_thread(holding.closed.wait, 10)
        await draft.aclose()
        return out

    out = asyncio.run(solve())
    assert out["response"] == "t0"
    assert out["usage"].discarded >= 2


def test_an_acceptance_closes_the_targets_connection(holding: HoldingServer) -> None:
    """The same for a hedge."""
    holding.left = 0
    target = VLLM(holding.url)
    early, reward = hedged(target, RewardAfter(1.0, holding.began), 1.0)

    async def solve() -> Any:
        out = await create_rsd_graph(SlowModel(steps("d", 0, 50.0)), early, reward).ainvoke({"problem": "p"})
        assert await asyncio.to_thread(holding.closed.wait, 10)
        await target.aclose()
        return out

    assert asyncio.run(solve())["response"] == "d0"


def test_a_cancelled_run_closes_the_connection_of_its_early_call(holding: HoldingServer) -> None:
    """Whatever a run has started ends with it."""
    draft = VLLM(holding.url)
    ahead, reward = draft_ahead(draft, RewardAfter(1.0, threading.Event()))

    async def solve() -> None:
        task = asyncio.ensure_future(
            create_rsd_graph(ahead, SlowModel(steps("t", 0)), reward).ainvoke({"problem": "p"})
        )
        assert await asyncio.to_thread(holding.began.wait, 10)
        task.cancel()
        assert await asyncio.to_thread(holding.closed.wait, 10)
        with pytest.raises(asyncio.CancelledError):
            await task
        await draft.aclose()

    asyncio.run(solve())
