from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsd_graph._internal.addresses import (
    LOOPBACK,
    checked_host,
    checked_url,
    credentials,
    is_this_machine,
    public_address,
)


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


def test_user_and_password_are_split_off() -> None:
    """Decoded to be sent, and left out of what is shown."""
    assert credentials("http://me:a%40b@host") == ("me", "a@b")
    assert credentials("http://me@host") == ("me", "")
    assert credentials("http://host") is None
    assert public_address("http://me:a%40b@host:1/v1") == "http://host:1/v1"


GOOD = (
    "http://host",
    "http://host:8000",
    "https://host.example:443/v1",
    "HTTP://host:1",
    "http://127.0.0.1:65535/",
    "http://[::1]:8000",
    "http://[fe80::1]/v1",
    "http://localhost.:8000",
    "http://my_host-1:80",
    "http://bücher.example",
)


@pytest.mark.parametrize("url", GOOD)
def test_an_address_stays_as_it_is(url: str) -> None:
    """Names, IP addresses, and paths behind them."""
    assert checked_url(url) == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://host:99999", "the port '99999' is not a number from 1 to 65535"),
        ("http://host:0", "the port '0'"),
        ("http://host:-1", "the port '-1'"),
        ("http://host:abc", "the port 'abc'"),
        ("http://host:", "the port ''"),
        ("http://host:٨٠", "the port"),  # Arabic digits
        ("http://host:" + 500 * "9", "the port"),
        ("http://[::1]:0", "the port '0'"),
        ("http://::1:8000", r"write http://\[::1\]:8000"),
        ("https://fe80::5", r"write https://\[fe80::5\]"),
        ("http://a:b:c", "stands in brackets"),
        ("http://[::1", "stands in brackets"),
        ("http://[::1]8000", "stands in brackets"),
        ("http://[localhost]:8000", "'localhost' is not an IPv6 address"),
        ("http://[]:8000", "'' is not an IPv6 address"),
        ("http://", "is not a host"),
        ("http://:8000", "is not a host"),
        ("http:///v1", "is not a host"),
        ("http://a..b", "is not a host"),
        ("http://" + 64 * "a" + ".b", "is not a host"),
        ("http://a b", "no spaces"),
        (" http://a", "no spaces"),
        ("http://a\n", "no spaces and no control characters"),
        ("http://a\x00b", "no control characters"),
        ("http://a\x1b[2J", "no control characters"),
        ("http://a\u202eb", "no control characters"),
        ("http://¡", "looks like"),
        ("http://a%00b", "is not a host"),
        ("http://a\\b", "is not a host"),
        ("http://" + 3000 * "a", "at most 2000 characters"),
        ("host:8000", "looks like http://host:8000"),
        ("http:/host", "looks like"),
        ("socks5://host:1080", "looks like"),
        ("file:///etc/passwd", "looks like"),
        ("", "looks like"),
        ("http://host:8000?key=secret", "no \\? and no #"),
        ("http://host#x", "no \\? and no #"),
        ("http://user:pw@host:8000", "api_key_env"),
        ("http://user:p/w@host", "api_key_env"),
        ("http://@host", "api_key_env"),
    ],
)
def test_what_is_no_address_is_refused(url: str, why: str) -> None:
    """With what to write instead, and without a password."""
    with pytest.raises(ValueError, match=why) as caught:
        checked_url(url)
    assert "pw" not in str(caught.value)


@given(st.text().map("http://".__add__) | st.text(alphabet="ht:/[]@.#?%1aé\x00").map("http://".__add__))
def test_any_text_is_an_address_or_refused(url: str) -> None:
    """Never another error; and what passes can be connected to."""
    from yarl import URL

    try:
        assert checked_url(url) == url
    except ValueError:
        return
    assert URL(url).host


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::", "::1", "localhost", "my-host.example"])
def test_a_host_stays_as_it_is(host: str) -> None:
    """What a server listens on."""
    assert checked_host(host) == host


@pytest.mark.parametrize(
    "host", ["", "[::1]", "localhost:8000", "http://host", "user@host", "a b", "a\x00b", "-x", "--api-key=k", "a\nb"]
)
def test_what_is_no_host_is_refused(host: str) -> None:
    """An address with a port, a flag of the server."""
    with pytest.raises(ValueError, match="host"):
        checked_host(host)
