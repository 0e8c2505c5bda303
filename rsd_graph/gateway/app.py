"""The application: its addresses, and how errors outside of a run are told."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rsd_graph.gateway.chat import ChatCompletions
from rsd_graph.gateway.keys import require_key
from rsd_graph.gateway.limits import Limits
from rsd_graph.gateway.metrics import Metrics
from rsd_graph.gateway.refusals import Refusal, log
from rsd_graph.gateway.reply import refusal_headers

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"

Endpoint = Callable[[Request], Awaitable[Response]]


def create_app(graph: Any, *, name: str = "rsd", api_key: str | None = None, limits: Limits | None = None) -> Starlette:
    """An ASGI application that serves the graph as an OpenAI-compatible model.

    It answers `/v1/chat/completions`, `/v1/models`, `/health` and Prometheus's `/metrics`.

    Args:
        graph: As `create_rsd_graph` returns it. Its `settings` are those of every request, save for the fields that
            the request names.
        name: The model's name.
        api_key: What clients must present as `Authorization: Bearer KEY`; only `/health` does not ask for it. None
            lets everybody in.
        limits: What one client may take from the others; by default, the defaults of `Limits`.

    Raises:
        ValueError: the key is empty, or is not printable ASCII without spaces.
    """
    if api_key is not None and not (api_key and api_key.isascii() and api_key.isprintable() and " " not in api_key):
        raise ValueError("the API key must be printable ASCII without spaces, and not empty")
    metrics = Metrics()
    chat = ChatCompletions(graph, name, api_key, limits or Limits(), metrics)
    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/models", _models(name, api_key)),
            Route("/v1/models/{model:path}", _model(name, api_key)),
            Route("/health", _health),
            Route("/metrics", _metrics(metrics, api_key)),
        ],
        exception_handlers={Refusal: _refused, HTTPException: _not_served, Exception: _broken},
    )


def _card(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "rsd-graph"}


def _models(name: str, api_key: str | None) -> Endpoint:
    async def models(request: Request) -> Response:
        require_key(request, api_key)
        return JSONResponse({"object": "list", "data": [_card(name)]})

    return models


def _model(name: str, api_key: str | None) -> Endpoint:
    async def model(request: Request) -> Response:
        require_key(request, api_key)
        if request.path_params["model"] != name:
            raise Refusal(404, f"this gateway serves {name!r}, and no other model", code="model_not_found")
        return JSONResponse(_card(name))

    return model


async def _health(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


def _metrics(metrics: Metrics, api_key: str | None) -> Endpoint:
    async def page(request: Request) -> Response:
        require_key(request, api_key)
        return Response(metrics.page(), media_type=PROMETHEUS)

    return page


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101  # what this handler is for
    return JSONResponse(error.body, error.status, refusal_headers(error))


async def _not_served(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    message = f"{request.method} {request.url.path:.200}: {HTTPStatus(status).phrase.lower()}"
    return JSONResponse(Refusal(status, message).body, status, getattr(error, "headers", None))


async def _broken(_: Request, error: Exception) -> Response:
    log.error("a request failed", exc_info=error)
    return JSONResponse(Refusal(500, "the gateway failed", kind="server_error").body, 500)
