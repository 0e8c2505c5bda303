"""Refuses requests for another host: a web site could give its own name the address of this machine (DNS rebinding)."""

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from rsd_graph._internal.addresses import LOOPBACK


class LoopbackOnly:
    """An application that answers to the names of this machine alone, where no key protects it.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "lifespan" or _name(scope) in LOOPBACK:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4403})
        else:
            refusal = PlainTextResponse("this page answers to 127.0.0.1 and localhost only\n", status_code=421)
            await refusal(scope, receive, send)


def _name(scope: Scope) -> str:
    """The host that is asked for, without its port and the brackets of IPv6."""
    host = Headers(scope=scope).get("host", "")
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()
