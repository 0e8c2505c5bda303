"""The connections to one model server, on one event loop.

aiohttp takes the least CPU of the clients that were compared: with 128 requests at once 0.46 ms each, against 1.1 to
3.1 ms for `openai` and 4.1 ms for httpx.

A connection that was closed while it was idle is not an error: aiohttp notices, and opens another one. What does go
wrong becomes an error of this package.

Connections belong to the event loop that opened them. Each loop from which a model is called has its own: handing every
request over to one loop in another thread, and its answer back, takes as long as the request. They end with their loop.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass
from weakref import finalize

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError
from yarl import URL

from rsd_graph._internal.addresses import is_this_machine
from rsd_graph.errors import (
    ConfigurationError,
    ModelError,
    ModelResponseError,
    ModelTimeoutError,
    ModelUnreachableError,
    without_credentials,
)

CONNECT_SECONDS = 5.0
MOST_CONCURRENT = 2048
"""Requests that one client has in flight at once, however many files the process may open."""
KEEPALIVE_SECONDS = 4.0
"""An idle connection is closed before the server closes it: uvicorn does after 5 seconds."""
SHARE_OF_FILES = 4
"""One client of a run uses at most this part of the files that the process may open; a run has three."""
SOCKS = ("socks5", "socks5h", "socks4", "socks4a")


def concurrency() -> int:
    """Requests that one client has in flight at once; more of them wait in this process."""
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return MOST_CONCURRENT
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST_CONCURRENT if files < 0 else max(1, min(MOST_CONCURRENT, files // SHARE_OF_FILES))


@dataclass(slots=True)
class Reply:
    """An answer, as far as it was read before its body."""

    status: int
    headers: Mapping[str, str]
    parts: AsyncIterator[bytes]
    """The body, in the pieces in which it comes."""


class Connections:
    """The connections of one event loop to one server. Made and used on that loop.

    Args:
        url: Of the server.
        timeout: Seconds that connecting may take, if that is less than `CONNECT_SECONDS`.

    Raises:
        ConfigurationError: the environment names a proxy that cannot be used.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self._proxy = proxy_for(url)
        socks = self._proxy is not None and urlsplit(self._proxy).scheme in SOCKS
        connector: aiohttp.BaseConnector = _Connector(**_limits())
        self._errors: tuple[type[Exception], ...] = (aiohttp.ClientError, OSError, ValueError)
        if self._proxy is not None and socks:
            connector, own = _socks(self._proxy)
            self._errors += own
        self._session = aiohttp.ClientSession(
            connector=connector,
            # `ModelServer` keeps the time of reading and writing
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=min(CONNECT_SECONDS, timeout)),
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=None if socks else self._proxy,
        )
        self.places = asyncio.Semaphore(concurrency())
        """Held by each request in flight. Those that wait get theirs in their order."""
        self._end = _close_with_the_loop(self._session)
        self._is_watched = False
        self._forsaken = finalize(self, _forsake, self._session, asyncio.get_running_loop(), os.getpid())

    @asynccontextmanager
    async def ask(
        self, method: str, where: str, content: bytes | None, headers: Mapping[str, str]
    ) -> AsyncIterator[Reply]:
        """Send a request. When the block ends before the answer does, the connection is closed.

        Raises:
            ModelUnreachableError, ModelResponseError: the request or the answer could not be carried.
        """
        if not self._is_watched:
            self._is_watched = True
            await anext(self._end)
        try:
            async with self._session.request(method, URL(where), data=content, headers=headers) as response:
                yield Reply(response.status, response.headers, response.content.iter_any())
        except self._errors as error:
            in_tls = isinstance(error, aiohttp.ConnectionTimeoutError) and await self._listens(where)
            raise transport_error(error, where, in_tls=in_tls) from error

    async def aclose(self) -> None:
        """Close the connections."""
        self._forsaken.detach()
        await self._end.aclose()
        await self._session.close()

    def forsake(self) -> None:
        """Close the connections, from another thread, or if their loop no longer runs."""
        self._forsaken()

    async def _listens(self, where: str) -> bool:
        """Whether a TLS server, to which no connection came about in time, accepts plain ones."""
        parts = urlsplit(where)
        if parts.scheme != "https" or self._proxy is not None:
            return False
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(CONNECT_SECONDS):
                _, writer = await asyncio.open_connection(parts.hostname, parts.port or 443)
                writer.close()
                return True
        return False


class _Connector(aiohttp.TCPConnector):
    """Leaves open connections to the garbage collector without a word: not everyone closes what they use."""

    def __del__(self, *_: object) -> None:
        """Say nothing."""


def _limits() -> dict[str, Any]:
    return {"limit": 0, "keepalive_timeout": KEEPALIVE_SECONDS, "ssl": _tls()}


@cache
def _tls() -> ssl.SSLContext:
    """Reading the certificates takes longer than many a request."""
    return ssl.create_default_context()


async def _close_with_the_loop(session: aiohttp.ClientSession) -> AsyncGenerator[None]:
    """Is left open: `asyncio.run` closes the open generators of its loop before it closes the loop."""
    try:
        yield
    finally:
        await session.close()


def _forsake(session: aiohttp.ClientSession, loop: asyncio.AbstractEventLoop, process: int) -> None:
    """Close the connections of a client that nobody has closed. A forked child leaves its parent's alone."""
    connector = session.connector
    session.detach()
    if connector is None or os.getpid() != process or loop.is_closed():
        return

    async def close() -> None:
        await connector.close()

    def begin() -> None:
        task = loop.create_task(close())
        closing.add(task)
        task.add_done_callback(closing.discard)

    closing: set[asyncio.Task[None]] = set()
    with suppress(RuntimeError):  # closed meanwhile
        loop.call_soon_threadsafe(begin)


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for this address; None if there is none, or the address is this machine's.

    Raises:
        ConfigurationError: it cannot be used.
    """
    if is_this_machine(url):
        return None
    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if urlsplit(proxy).scheme not in ("http", "https", *SOCKS) or not urlsplit(proxy).hostname:
        raise ConfigurationError(
            "the environment names a proxy that cannot be used (ALL_PROXY, HTTP_PROXY or HTTPS_PROXY): "
            f"{without_credentials(proxy)!r:.100} does not look like http://host:8080"
        )
    return proxy


def _socks(proxy: str) -> tuple[aiohttp.BaseConnector, tuple[type[Exception], ...]]:
    """A connector that goes through this SOCKS proxy, and the errors that it raises."""
    try:
        from aiohttp_socks import ProxyConnectionError, ProxyConnector, ProxyError, ProxyTimeoutError
    except ImportError as error:
        raise ConfigurationError(
            "the environment names a SOCKS proxy (ALL_PROXY, HTTP_PROXY or HTTPS_PROXY), which needs the package "
            "`aiohttp-socks`: run `pip install aiohttp-socks`, or name the server in NO_PROXY"
        ) from error
    scheme, _, rest = proxy.partition("://")
    plain = scheme.removesuffix("h").removesuffix("a")  # the proxy resolves names in any case
    return ProxyConnector.from_url(f"{plain}://{rest}", rdns=True, **_limits()), (
        ProxyConnectionError,
        ProxyError,
        ProxyTimeoutError,
    )


def too_slow(where: str) -> ModelTimeoutError:
    """There was no answer in time."""
    return ModelTimeoutError(
        f"{where} did not answer in time: is it overloaded? Raise `timeout`, or lower the number of problems solved at "
        "once."
    )


def transport_error(error: Exception, where: str, *, in_tls: bool = False) -> ModelError:
    """An error of aiohttp as an error of this package.

    Args:
        error: The error.
        where: The address that was asked.
        in_tls: Whether there was a connection, and TLS did not come about on it.
    """
    said = without_credentials(" ".join(str(error).split()))[:200] or type(error).__name__
    match error:
        case aiohttp.TooManyRedirects():
            return ModelResponseError(f"{where} redirects again and again")
        case ValueError() | aiohttp.ClientPayloadError(__cause__=ContentEncodingError()):
            return ModelResponseError(f"{where} answered with something that cannot be read: {said}")
        case aiohttp.ClientResponseError():
            return _refused(error, where)
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return _not_connected(where, said, in_tls or isinstance(error, aiohttp.ClientSSLError))
        case aiohttp.ClientError() | OSError():
            return _dropped(where, said)
    return _not_connected(where, said, in_tls)


def _refused(error: aiohttp.ClientResponseError, where: str) -> ModelUnreachableError:
    """What was read is not HTTP, or is the proxy's refusal."""
    said = without_credentials(" ".join(error.message.split()))[:200]
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return unreachable(f"no answer from {where}: the environment's proxy answered {error.status} ({said})")
    hint = "does it speak TLS? Then write https://" if where.startswith("http:") else "it does not speak HTTP"
    return unreachable(f"{where} answered with something that cannot be read ({said}): {hint}", lasting=True)


def _not_connected(where: str, said: str, in_tls: bool) -> ModelUnreachableError:
    if in_tls:
        return unreachable(
            f"no TLS connection to {where} ({said}): does it speak plain HTTP? Then write http://", lasting=True
        )
    return unreachable(f"no answer from {where} ({said}): is the model server running there?")


def _dropped(where: str, said: str) -> ModelUnreachableError:
    return unreachable(
        f"no answer from {where}: it dropped the connection after it had the request ({said}); did the model server "
        "stop, or does it expect https://?",
        is_dropped=True,
    )


def unreachable(message: str, *, is_dropped: bool = False, lasting: bool = False) -> ModelUnreachableError:
    """There was no answer. Arguments as in the error."""
    error = ModelUnreachableError(message)
    error.dropped, error.lasting = is_dropped, lasting
    return error
