"""The key that a client presents."""

from hmac import compare_digest

from starlette.requests import Request

from rsd_graph.gateway.refusals import Refusal


def require_key(request: Request, key: str | None) -> None:
    """Let the request pass if it presents the key. The comparison takes as long for a near miss as for any other.

    Raises:
        Refusal: it presents none, or another one.
    """
    if key is None:
        return
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and compare_digest(given.strip().encode("latin-1"), key.encode()):
        return
    wrong = "the API key is wrong" if given else "the API key is missing"
    raise Refusal(401, f"{wrong}: send it as `Authorization: Bearer KEY`", code="invalid_api_key")
