"""Addresses of servers: which are of this machine, and what is wrong with one."""

import ipaddress
import re
import socket
from urllib.parse import unquote, urlsplit, urlunsplit

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Where a server listens that only this machine may reach."""


def is_this_machine(url: str) -> bool:
    """Whether the address can only be this machine's, in whichever spelling: no proxy can reach it."""
    host = (urlsplit(url).hostname or "").rstrip(".").lower().partition("%")[0]
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        try:
            ip = ipaddress.ip_address(socket.inet_aton(host))  # 127.1, 0x7f000001
        except (OSError, ValueError):
            return False
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return ip.is_loopback or ip.is_unspecified


def checked_address(url: str) -> str:
    """The address of a server, unchanged.

    Raises:
        ValueError: it is none; the message says why, without a password.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(_hint(url, str(error))) from None
    if parts.scheme not in ("http", "https") or not host or port == 0:
        raise ValueError(_hint(url, ""))
    if re.search(r"[\s\x00-\x1f\x7f\\]", url):
        raise ValueError("an address has no spaces, line breaks or backslashes")
    if parts.query or parts.fragment:
        raise ValueError("an address has no `?` and no `#`")
    return url


def _hint(url: str, reason: str) -> str:
    netloc = url.partition("//")[2].partition("/")[0].rpartition("@")[2]
    if netloc.count(":") > 1 and not netloc.startswith("["):
        return "an IPv6 address stands in brackets, as in http://[::1]:8000"
    reason = f" ({reason[:1].lower()}{reason[1:]})" if reason and "@" not in url else ""
    return f"an address looks like http://host:8000{reason}"


def credentials(url: str) -> tuple[str, str] | None:
    """User and password of `http://user:password@host`, decoded; None where there are none."""
    parts = urlsplit(url)
    if parts.username is None:
        return None
    return unquote(parts.username), unquote(parts.password or "")


def public_address(url: str) -> str:
    """The address without user and password: what may be shown."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
