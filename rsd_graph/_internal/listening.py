"""Listening for requests: who is let in, a socket before anything is loaded, and a server that stops in order."""

import asyncio
import os
import socket
from contextlib import suppress
from types import FrameType

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from rsd_graph._internal.addresses import LOOPBACK
from rsd_graph.errors import ConfigurationError


def key_in(variable: str) -> str | None:
    """The key that this environment variable holds; None if there is none."""
    return os.environ.get(variable, "").strip() or None


def require_key(host: str, variable: str, what: str, key: str) -> None:
    """Refuse to let everybody in from other machines.

    Args:
        host: Where to listen.
        variable: Environment variable of the key.
        what: Would let them in, such as "the page".
        key: The key in words, such as "a key that visitors must know".

    Raises:
        ConfigurationError: the host is not this machine's own, and there is no key.
    """
    if host not in LOOPBACK and key_in(variable) is None:
        raise ConfigurationError(
            f"{what} would let in everybody who reaches {host}: set the environment variable {variable} to {key}, or "
            "listen on 127.0.0.1"
        )


def reserve(host: str, port: int) -> socket.socket:
    """A socket at the address, which refuses connections until it is served; port 0 takes any that is free.

    Raises:
        OSError: the address is in use, or is not this machine's.
    """
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # with the protocol named, asyncio switches off Nagle's algorithm, which would delay small answers by 40 ms
    reserved = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if os.name == "posix":  # elsewhere, it would share the address with another program
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        reserved.bind(address[:2])
    except OSError as error:
        reserved.close()
        raise OSError(error.errno, f"{host}:{port}: {error.strerror}") from error
    return reserved


def url_of(reserved: socket.socket) -> str:
    """The address of a reserved socket, as browsers and clients write it."""
    host, port = reserved.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


class Server(uvicorn.Server):
    """uvicorn, but a signal that has stopped it does not end the program before its models are closed."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # of uvicorn
        """See uvicorn. A second signal ends the runs at once."""
        self.force_exit = self.should_exit
        self.should_exit = True


def quiet(app: ASGIApp) -> ASGIApp:
    """The application, without the traceback that uvicorn would print for each run that it cancels at the end."""

    async def quiet(scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(asyncio.CancelledError):
            await app(scope, receive, send)

    return quiet
