from urllib.parse import urlsplit

import pytest

from rsd_graph._internal.addresses import LOOPBACK, checked_address, credentials, is_this_machine, public_address


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://localhost/v1", "http://[::1]:8000/v1"])
def test_this_machine_is_recognized_in_a_url(url: str) -> None:
    """In each of its usual spellings."""
    assert urlsplit(url).hostname in LOOPBACK


@pytest.mark.parametrize("url", ["http://0.0.0.0:8000", "http://localhost.example", "http://192.168.0.1"])
def test_another_machine_is_not_taken_for_this_one(url: str) -> None:
    """Such an address may need a proxy."""
    assert urlsplit(url).hostname not in LOOPBACK


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.1.1", "127.1", "0.0.0.0", "0", "2130706433", "me:pw@127.0.0.1"),
        *("localhost", "LOCALHOST", "localhost.", "a.localhost", "[::1]", "[::]", "[::ffff:127.0.0.1]"),
    ],
)
def test_a_server_here_is_recognized_in_every_spelling(host: str) -> None:
    """No proxy can reach it for us."""
    assert is_this_machine(f"http://{host}:8000/v1")


@pytest.mark.parametrize("host", ["localhost.example", "192.168.0.1", "128.0.0.1", "[::2]", "127.0.0.1.example", "x"])
def test_a_server_elsewhere_is_not(host: str) -> None:
    """However similar the name."""
    assert not is_this_machine(f"http://{host}:8000/v1")


def test_addresses_are_taken_as_they_are() -> None:
    """Names, numbers, paths and IPv6."""
    for url in ("http://host", "https://host:8000/v1", "http://[::1]:8000", "http://10.0.0.1/models/qwen/v1/"):
        assert checked_address(url) == url


def test_user_and_password_are_split_off() -> None:
    """Decoded to be sent, and left out of what is shown."""
    assert credentials("http://me:a%40b@host") == ("me", "a@b")
    assert credentials("http://me@host") == ("me", "")
    assert credentials("http://host") is None
    assert public_address("http://me:a%40b@host:1/v1") == "http://host:1/v1"
