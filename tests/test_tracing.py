import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from langchain_core.messages import BaseMessage
from langchain_core.tracers.base import BaseTracer
from langchain_core.tracers.langchain import LangChainTracer
from langsmith import Client

from rsd_graph import Generation, Score, Step, TokenUsage, create_rsd_graph
from rsd_graph.errors import ModelError
from rsd_graph.testing import ScriptedModel
from tests.conftest import FakeServer

READ = {"draft": 10, "target": 20, "reward": 30}


class Kept(BaseTracer):
    """Keeps every finished run."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: dict[UUID, Any] = {}

    def _persist_run(self, run: Any) -> None:
        pass

    def _end_trace(self, run: Any) -> None:
        super()._end_trace(run)
        self.runs[run.id] = run

    def calls(self) -> dict[str, Any]:
        """The calls of models, by the name of the node that made them."""
        models = [run for run in self.runs.values() if run.run_type in ("llm", "chat_model")]
        return {run.extra["metadata"]["langgraph_node"]: run for run in models}


class Reward:
    name = "judge-7b"
    provider = "vllm"
    needs_logprobs = False

    async def score(
        self,
        messages: Sequence[BaseMessage],  # noqa: ARG002
        steps: Sequence[Step],  # noqa: ARG002
        candidates: Sequence[Generation],
    ) -> list[Score]:
        return [Score(0.2, TokenUsage(prompt=READ["reward"])) for _ in candidates]


def step(text: str, role: str, finish: Any = "eos") -> Generation:
    return Generation(text, finish, TokenUsage(prompt=READ[role], cached=4, completion=3))


def graph() -> Any:
    draft, target = ScriptedModel([step("a", "draft")]), ScriptedModel([step("b", "target")])
    draft.name, target.name = "small", "large"
    return create_rsd_graph(draft, target, Reward())


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_trace_shows_each_call_under_its_node(asynchronous: bool) -> None:
    """With the model's name and provider, what it was asked and said, and its tokens."""
    tracer = Kept()
    given: Any = {"problem": "p"}, {"callbacks": [tracer]}
    out = asyncio.run(graph().ainvoke(*given)) if asynchronous else graph().invoke(*given)
    assert out["response"] == "b"
    for node, role, name in (
        ("draft", "draft", "small"),
        ("target", "target", "large"),
        ("score", "reward", "judge-7b"),
    ):
        run = tracer.calls()[node]
        metadata = run.extra["metadata"]
        assert (metadata["rsd_role"], metadata["ls_model_name"]) == (role, name)
        assert metadata["ls_provider"] == ("vllm" if role == "reward" else "rsd-graph")
        ((said,),) = run.outputs["generations"]
        assert said["message"]["kwargs"]["usage_metadata"]["input_tokens"] == READ[role]
        assert run.end_time is not None


def test_an_error_is_traced() -> None:
    class Broken(ScriptedModel):
        async def generate(self, *_: Any, **__: Any) -> list[Generation]:
            raise ModelError("it is gone")

    tracer = Kept()
    broken = create_rsd_graph(Broken([]), Broken([]), Reward())
    with pytest.raises(ModelError):
        broken.invoke({"problem": "p"}, {"callbacks": [tracer]})
    assert "it is gone" in tracer.calls()["draft"].error


def test_those_who_stream_see_no_proposal() -> None:
    """A tracer beside them changes nothing: neither messages nor events show what the draft proposed."""

    async def run() -> tuple[list[str], list[str]]:
        config: Any = {"callbacks": [Kept()]}
        messages = [chunk.text async for chunk, _ in graph().astream({"problem": "p"}, config, stream_mode="messages")]
        events = [
            event["data"]["chunk"].text
            async for event in graph().astream_events({"problem": "p"}, config, version="v2")
            if event["event"] == "on_chat_model_stream"
        ]
        return messages, events

    messages, events = asyncio.run(run())
    assert "".join(messages) == "".join(events) == "b"


def test_langsmith_gets_names_and_tokens(server: FakeServer) -> None:
    """What its client sends over HTTP."""
    server.answer("/runs", {})
    client = Client(api_url=server.url, api_key="k", auto_batch_tracing=False, info={})
    graph().invoke({"problem": "p"}, {"callbacks": [LangChainTracer(client=client, project_name="rsd")]})
    sent = [
        body for _, body in server.requests if body.get("run_type") == "llm" or "usage_metadata" in json.dumps(body)
    ]
    told = json.dumps(sent)
    for name in ("small", "large", "judge-7b"):
        assert name in told


OPENTELEMETRY = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)

from langchain_core.tracers.langchain import wait_for_all_tracers

from tests.test_tracing import graph

graph().invoke({"problem": "p"})
wait_for_all_tracers()
for span in spans.get_finished_spans():
    print(span.name, span.attributes.get("gen_ai.request.model"), span.attributes.get("gen_ai.usage.input_tokens"))
"""


def test_opentelemetry_gets_names_and_tokens() -> None:
    """Through LangSmith's client, which needs no account and no network for it."""
    environment = {**os.environ, "LANGSMITH_OTEL_ENABLED": "true", "LANGSMITH_OTEL_ONLY": "true"}
    environment |= {"LANGSMITH_TRACING": "true", "LANGSMITH_API_KEY": "k", "LANGSMITH_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", OPENTELEMETRY], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    spans = done.stdout.splitlines()
    assert {"draft small 10", "target large 20", "reward judge-7b 30"} <= set(spans)
    assert {"score None None", "check None None"} <= set(spans)
