"""An OpenAI-compatible endpoint in front of the graph.

    from rsd_graph.gateway import create_app

    app = create_app(graph)   # an ASGI application: `uvicorn module:app`, or mount it in a FastAPI application

`rsd gateway` serves the models of rsd.toml in the same way. It needs the extra `gateway`.
"""

from rsd_graph.gateway.app import create_app
from rsd_graph.gateway.limits import Limits

__all__ = ["Limits", "create_app"]
