from urllib.parse import urlsplit

import pytest

from rsd_graph._internal.addresses import LOOPBACK


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://localhost/v1", "http://[::1]:8000/v1"])
def test_this_machine_is_recognized_in_a_url(url: str) -> None:
    """In each of its usual spellings."""
    assert urlsplit(url).hostname in LOOPBACK


@pytest.mark.parametrize("url", ["http://0.0.0.0:8000", "http://localhost.example", "http://192.168.0.1"])
def test_another_machine_is_not_taken_for_this_one(url: str) -> None:
    """Such an address may need a proxy."""
    assert urlsplit(url).hostname not in LOOPBACK
