"""Addresses of servers: what is wrong with one, which are this machine's, and what of one may be shown."""

import ipaddress
import re
import socket
from urllib.parse import unquote, urlsplit

LONGEST = 2000
HIGHEST_PORT = 65535

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


def checked_url(url: str) -> str:
    """The address as it is.

    Raises:
        ValueError: it is none; the message does not repeat it, because it may hold a password.
    """
    if len(url) > LONGEST:
        raise ValueError(f"an address has at most {LONGEST} characters")
    if not url.isprintable() or " " in url:
        raise ValueError("an address has no spaces and no control characters")
    scheme, separator, rest = url.partition("://")
    if scheme.lower() not in ("http", "https") or not separator:
        raise ValueError("an address looks like http://host:8000")
    if "@" in rest:
        raise ValueError(
            "an address holds no user and no password, because errors and logs show it: put the key into an "
            "environment variable, and name that with `api_key_env`"
        )
    if "?" in rest or "#" in rest:
        raise ValueError("an address has no ? and no #")
    host, port = _host_and_port(scheme, rest.partition("/")[0])
    if port is not None and not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= HIGHEST_PORT):
        raise ValueError(f"the port {port!r:.20} is not a number from 1 to {HIGHEST_PORT}")
    _require_host(host)
    import idna
    from yarl import URL

    try:  # what connects to it refuses more names
        URL(url)
        if not host.isascii():
            idna.encode(host, uts46=True)
    except ValueError as error:
        raise ValueError(f"an address looks like http://host:8000, and here is an {error}"[:200]) from error
    return url


def checked_host(host: str) -> str:
    """The name or the IP address of a host, without a port.

    Raises:
        ValueError: it is none.
    """
    if host.startswith("[") or "/" in host or "@" in host or (":" in host and not _is_ipv6(host)):
        raise ValueError("a host is a name or an IP address, such as 0.0.0.0 or ::1, without a port and brackets")
    _require_host(f"[{host}]" if ":" in host else host)
    return host


def _host_and_port(scheme: str, place: str) -> tuple[str, str | None]:
    if place.startswith("["):
        host, bracket, behind = place.partition("]")
        if not bracket or (behind and not behind.startswith(":")):
            raise ValueError("an IPv6 address stands in brackets, as in http://[::1]:8000")
        return host + bracket, behind[1:] if behind else None
    if place.count(":") > 1:
        host, _, port = place.rpartition(":")
        right = f"[{host}]:{port}" if _is_ipv6(host) else f"[{place}]" if _is_ipv6(place) else "[::1]:8000"
        raise ValueError(f"an IPv6 address stands in brackets: write {scheme}://{right}")
    host, colon, port = place.partition(":")
    return host, port if colon else None


def _require_host(host: str) -> None:
    if host.startswith("["):
        if not _is_ipv6(host[1:-1]):
            raise ValueError(f"{host[1:-1]!r:.60} is not an IPv6 address")
        return
    try:
        name = host.removesuffix(".").encode("idna").decode()
    except UnicodeError:
        name = ""
    if not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?", name):
        raise ValueError(f"{host!r:.60} is not a host: an address looks like http://host:8000")


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def credentials(url: str) -> tuple[str, str] | None:
    """User and password of `http://user:password@host`, decoded; None where there are none."""
    parts = urlsplit(url)
    if parts.username is None:
        return None
    return unquote(parts.username), unquote(parts.password or "")


def public_address(url: str) -> str:
    """The address without user and password: what may be shown. Any text is taken."""
    scheme, separator, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}{separator}{place.rpartition('@')[2]}{slash}{path}"
