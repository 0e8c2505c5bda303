"""Listening for requests: a socket before anything is loaded, and a server that stops in order."""

import asyncio
import os
import socket
from contextlib import suppress
from types import FrameType

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send


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
