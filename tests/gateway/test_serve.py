import socket
from typing import Any

import pytest

from rsd_graph._internal.listening import reserve
from rsd_graph.errors import ConfigurationError
from rsd_graph.gateway import Limits
from rsd_graph.gateway.serve import Plan, require_key_beyond

PLAN = Plan("my.toml", {"settings": {"threshold": "0.5"}}, "mine", "MY_KEY", Limits(runs=7, seconds=1.5))


def test_a_worker_gets_the_same_plan() -> None:
    """Through the environment, as JSON."""
    assert Plan.from_json(PLAN.as_json()) == PLAN


def test_the_key_is_not_in_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays in the variable that the plan names; a line end from a file is not part of it."""
    monkeypatch.setenv("MY_KEY", "sk-secret\n")
    assert PLAN.api_key == "sk-secret"
    assert "sk-secret" not in PLAN.as_json()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_this_machine_needs_no_key(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only its own programs reach it."""
    monkeypatch.delenv("MY_KEY", raising=False)
    require_key_beyond(host, PLAN)


@pytest.mark.parametrize("key", ["", " \n", None])
def test_other_machines_need_one(key: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty one is none."""
    monkeypatch.delenv("MY_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("MY_KEY", key)
    with pytest.raises(ConfigurationError, match="set the environment variable MY_KEY"):
        require_key_beyond("0.0.0.0", PLAN)


def test_an_address_is_reserved_and_refuses_connections() -> None:
    """Until the models are loaded, a load balancer sees that nothing listens."""
    with reserve("127.0.0.1", 0) as reserved:
        address: Any = reserved.getsockname()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)


def test_an_address_in_use_is_named() -> None:
    """Host and port are in the error."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1:{port}"):
            reserve("127.0.0.1", port)


def test_small_answers_are_not_delayed() -> None:
    """Nagle's algorithm is off: asyncio does that only where a socket names its protocol."""
    with reserve("127.0.0.1", 0) as reserved:
        assert reserved.proto == socket.IPPROTO_TCP
