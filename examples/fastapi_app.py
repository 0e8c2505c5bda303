"""Your own FastAPI application with the graph in it: an OpenAI-compatible model under /rsd, and a route of your own.

pip install fastapi
python examples/fastapi_app.py                # the embedded models, at http://127.0.0.1:8200/rsd/v1
python examples/fastapi_app.py --fake         # scripted models: no weights, at once
"""

import argparse
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from solve import embedded_models, fake_models

from rsd_graph import RSDSettings, create_rsd_graph
from rsd_graph.gateway import Limits, create_app


class Question(BaseModel):
    """What the route takes."""

    problem: str


def application(*, fake: bool) -> FastAPI:
    models = fake_models() if fake else embedded_models()
    graph = create_rsd_graph(*models, settings=RSDSettings(max_steps=30))
    app = FastAPI()
    app.mount("/rsd", create_app(graph, limits=Limits(runs=32)))

    @app.post("/answer")
    async def answer(question: Question) -> dict[str, Any]:
        out = await graph.ainvoke({"problem": question.problem})
        return {"answer": out["answer"], "authors": [step.author for step in out["steps"]]}

    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fake", action="store_true", help="use scripted models")
    parser.add_argument("--port", type=int, default=8200)
    options = parser.parse_args()
    uvicorn.run(application(fake=options.fake), host="127.0.0.1", port=options.port)
