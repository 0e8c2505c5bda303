import asyncio
import time
from typing import Any

import pytest

from rsd_graph.errors import ModelResponseError, ModelTimeoutError, ModelUnavailableError, ModelUnreachableError
from rsd_graph.models.discovery import is_llamacpp, model_card
from rsd_graph.models.http import ModelCard
from tests.conftest import FakeServer

NOBODY = "http://127.0.0.1:1"
PROPS = {"default_generation_settings": {"n_ctx": 4096}}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(PROPS, True), ((404, {}), False), ((401, {}), False), ({"something": "else"}, False), ((501, {}), False)],
)
def test_llamacpp_is_recognized_by_its_properties(server: FakeServer, answer: Any, expected: bool) -> None:
    """No other server has them."""
    server.answer("/props", answer)
    assert asyncio.run(is_llamacpp([server.url])) is expected


def test_a_server_that_is_loading_is_not_taken_for_another(server: FakeServer) -> None:
    """It may be a llama.cpp whose weights are not there yet."""
    server.answer("/props", (503, {"error": {"message": "Loading model"}}))
    with pytest.raises(ModelUnavailableError, match="Loading model"):
        asyncio.run(is_llamacpp([server.url]))


def test_the_first_replica_that_can_be_reached_answers(server: FakeServer) -> None:
    """One that is down does not matter; if all are, the last is named."""
    server.answer("/props", PROPS)
    assert asyncio.run(is_llamacpp([NOBODY, server.url]))
    assert asyncio.run(is_llamacpp([server.url, NOBODY]))
    with pytest.raises(ModelUnreachableError, match=r"127\.0\.0\.1:1/props"):
        asyncio.run(is_llamacpp([NOBODY, NOBODY]))


def test_a_replica_that_answers_wrongly_is_believed(server: FakeServer) -> None:
    """Only one that cannot be reached is passed over: the others hold the same model."""
    server.answer("/v1/models", (404, {"error": {"message": "no list"}}))
    with pytest.raises(ModelResponseError, match="no list"):
        asyncio.run(model_card([server.url, NOBODY]))


def test_the_card_is_that_of_the_named_model(server: FakeServer) -> None:
    """Else the first one's."""
    server.answer("/v1/models", {"data": [{"id": "a", "owned_by": "vllm"}, {"id": "b", "max_model_len": 8}]})
    assert asyncio.run(model_card([server.url])) == ModelCard(id="a", owned_by="vllm")
    assert asyncio.run(model_card([server.url], model="b")) == ModelCard(id="b", max_model_len=8)


def test_the_key_is_sent(server: FakeServer) -> None:
    """Servers with a key show nothing without it."""
    server.answer("/props", PROPS)
    server.answer("/v1/models", {"data": [{"id": "a"}]})
    asyncio.run(is_llamacpp([server.url], api_key="secret"))
    asyncio.run(model_card([server.url], api_key="secret"))
    assert [received["authorization"] for received in server.received] == ["Bearer secret"] * 2


def test_a_server_that_hangs_times_out(server: FakeServer) -> None:
    """After the given number of seconds."""
    server.answer("/props", lambda _: time.sleep(1))
    with pytest.raises(ModelTimeoutError):
        asyncio.run(is_llamacpp([server.url], seconds=0.1))
