"""Lets those in who know the key: where the page can be reached from other machines."""

from collections.abc import Mapping
from hashlib import blake2b
from hmac import compare_digest
from secrets import token_bytes
from urllib.parse import parse_qs, urlencode

from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

COOKIE = "rsd_key"
DAY = 24 * 3600
LOGIN = (
    "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
    "<title>rsd</title><body style='font-family:system-ui;margin:20vh auto;max-width:20rem'>"
    "<form method=get><p><label>Key<br><input name=key type=password autofocus style='width:100%'></label></p>"
    "<button>Open</button></form>"
)


class KeyGate:
    """An application behind a key. The key comes once, in a form; then a cookie stands for it.

    Args:
        app: The application.
        key: What visitors have to know.
    """

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._key = key.encode()
        self._pass = blake2b(self._key, key=token_bytes(32)).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "lifespan" or self._has_pass(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4401})
        else:
            await self._login(scope)(scope, receive, send)

    def _has_pass(self, scope: Scope) -> bool:
        return compare_digest(HTTPConnection(scope).cookies.get(COOKIE, "").encode(), self._pass.encode())

    def _login(self, scope: Scope) -> HTMLResponse | RedirectResponse:
        query: Mapping[str, list[str]] = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        given = query.get("key", [""])[0]
        if not compare_digest(given.encode(), self._key):
            return HTMLResponse(LOGIN, status_code=401)
        rest = urlencode([(name, value) for name, values in query.items() if name != "key" for value in values])
        answer = RedirectResponse(HTTPConnection(scope).url.path + (f"?{rest}" if rest else ""), status_code=303)
        answer.set_cookie(COOKIE, self._pass, max_age=DAY, httponly=True, samesite="strict")
        return answer
