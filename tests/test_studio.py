"""What LangGraph Studio consumes, over the API of a real `langgraph dev`: Studio's page itself is hosted."""

import asyncio
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_client

ROOT = Path(__file__).parent.parent
PROBLEM = "Natalia sold 48 clips in April and half as many in May. How many in all?"
STARTING = 90
"""Seconds; it takes 5 on a machine that does nothing else."""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server of this repository's `langgraph.json`, with scripted models."""
    folder = tmp_path_factory.mktemp("studio")
    for name in ("langgraph.json", "examples"):
        (folder / name).symlink_to(ROOT / name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "langgraph_cli", "dev", "--port", str(port), "--no-browser", "--no-reload"]
    log = (folder / "log").open("w+")
    with subprocess.Popen(
        [*command, "--n-jobs-per-worker", "4"],
        cwd=folder,
        env={**os.environ, "RSD_STUDIO_FAKE": "1", "LANGSMITH_TRACING": "false", "PYTHONPATH": str(ROOT)},
        stdout=log,
        stderr=log,
    ) as server:
        url = f"http://127.0.0.1:{port}"
        try:
            wait_for(url, server, log)
            yield url
        finally:
            server.terminate()
            with suppress(subprocess.TimeoutExpired):
                server.wait(10)
            server.kill()
            log.close()


def wait_for(url: str, server: "subprocess.Popen[bytes]", log: Any) -> None:
    end = time.monotonic() + STARTING
    while time.monotonic() < end and server.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"{url}/ok", timeout=5):
            return
        time.sleep(0.2)
    log.seek(0)
    pytest.fail(f"langgraph dev did not start: {log.read()[-2000:]}")


def ask(api: str, work: Any) -> Any:
    """Do the work with a client, and what the API says of each graph by its name."""

    async def run() -> Any:
        async with get_client(url=api) as client:
            found = {each["graph_id"]: each for each in await client.assistants.search()}
            return await work(client, found)

    return asyncio.run(run())


async def streamed(client: Any, thread: str, graph: str, modes: list[str], **given: Any) -> list[tuple[str, Any]]:
    return [(part.event, part.data) async for part in client.runs.stream(thread, graph, stream_mode=modes, **given)]


def test_both_graphs_are_listed_and_drawn(api: str) -> None:
    """With descriptions of the graphs and of the nodes; the agent shows the solver inside it."""

    async def work(client: Any, found: Any) -> None:
        assert all(found[name]["description"] for name in ("rsd", "agent"))
        drawn = await client.assistants.get_graph(found["rsd"]["assistant_id"])
        nodes = {node["id"]: node.get("metadata", {}).get("description") for node in drawn["nodes"]}
        assert set(nodes) == {"__start__", "draft", "score", "target", "check", "__end__"}
        assert all(nodes[name] for name in ("draft", "score", "target", "check"))
        inside = await client.assistants.get_graph(found["agent"]["assistant_id"], xray=True)
        assert "solver:score" in {node["id"] for node in inside["nodes"]}

    ask(api, work)


def test_forms_are_short_and_have_bounds(api: str) -> None:
    """The input's form, and that of the settings, each of which names the nodes that it affects."""

    async def work(client: Any, found: Any) -> None:
        schemas = await client.assistants.get_schemas(found["rsd"]["assistant_id"])
        assert set(schemas["input_schema"]["properties"]) == {"problem", "history", "messages"}
        assert len(str(schemas["input_schema"])) < 2000
        settings = schemas["context_schema"]["properties"]
        assert (settings["threshold"]["minimum"], settings["threshold"]["maximum"]) == (0, 1)
        assert settings["threshold"]["langgraph_nodes"] == ["score"]
        assert settings["system_prompt"]["langgraph_type"] == "prompt"
        assert all(field["langgraph_nodes"] and field["description"] for field in settings.values())

    ask(api, work)


def test_every_decision_is_visible(api: str) -> None:
    """`updates` and `values` carry proposal, author, reward, threshold, and why it was accepted or rejected."""

    async def work(client: Any, _: Any) -> None:
        thread = (await client.threads.create())["thread_id"]
        events = await streamed(
            client,
            thread,
            "rsd",
            ["updates", "values", "custom", "messages-tuple"],
            input={"problem": PROBLEM},
            context={"threshold": 0.6, "max_steps": 2},
        )
        updates = [update for event, data in events if event == "updates" for update in data.items()]
        decisions = [update["decision"] for node, update in updates if node == "score"]
        assert {(each["author"], each["threshold"]) for each in decisions} == {("draft", 0.6)}
        assert {(each["reward"], each["accepted"]) for each in decisions} == {(0.31, False), (0.95, True)}
        assert {each["why"] for each in decisions} == {
            "rejected: reward 0.31, threshold 0.6",
            "accepted: reward 0.95, threshold 0.6",
        }
        (rewritten,) = [update["decision"] for node, update in updates if node == "target"]
        assert rewritten["author"] == "target"
        assert rewritten["proposal"]
        values = [data for event, data in events if event == "values"]
        assert [each["decision"] for each in values if each.get("decision", {}).get("accepted")] == [decisions[-1]]
        assert values[-1]["usage"]["draft"].keys() == {"prompt", "cached", "completion"}
        assert values[-1]["stop"]
        assert {data["event"] for event, data in events if event == "custom"} >= {
            "proposed",
            "scored",
            "kept",
            "finished",
        }
        said = "".join(data[0]["content"] for event, data in events if event == "messages")
        assert said == values[-1]["response"] == values[-1]["messages"][-1]["content"]

    ask(api, work)


def test_a_thread_chats(api: str) -> None:
    """Messages in, messages out: each turn answers the one before it."""

    async def work(client: Any, _: Any) -> None:
        thread = (await client.threads.create())["thread_id"]
        for said in (PROBLEM, "And in June, another 10?"):
            given = {"messages": [{"type": "human", "content": said}]}
            await client.runs.wait(thread, "agent", input=given)
        messages = (await client.threads.get_state(thread))["values"]["messages"]
        assert [message["type"] for message in messages] == ["human", "ai", "human", "ai"]
        (thread,) = [(await client.threads.create())["thread_id"]]
        out = await client.runs.wait(thread, "rsd", input={"messages": [{"role": "user", "content": PROBLEM}]})
        assert [message["type"] for message in out["messages"]] == ["human", "ai"]

    ask(api, work)


def test_a_run_is_paused_edited_and_forked(api: str) -> None:
    """Interrupts, resuming, history, and a fork from an edited checkpoint with another threshold."""

    async def work(client: Any, _: Any) -> None:
        thread = (await client.threads.create())["thread_id"]
        settings = {"threshold": 0.0, "max_steps": 1}
        given = {"input": {"problem": PROBLEM}, "context": settings}
        await streamed(client, thread, "rsd", ["updates"], interrupt_before=["check"], **given)
        assert (await client.threads.get_state(thread))["next"] == ["check"]
        await streamed(client, thread, "rsd", ["updates"], input=None)
        state = await client.threads.get_state(thread)
        assert state["next"] == []
        assert state["values"]["steps"][0]["author"] == "draft"
        history = await client.threads.get_history(thread)
        (scored,) = [each for each in history if each["next"] == ["check"]]
        edit = {"settings": {"threshold": 1.0}}
        fork = await client.threads.update_state(thread, edit, checkpoint=scored["checkpoint"])
        await streamed(client, thread, "rsd", ["updates"], input=None, checkpoint=fork["checkpoint"])
        assert (await client.threads.get_state(thread))["values"]["steps"][0]["author"] == "target"

    ask(api, work)


def test_runs_at_once_stay_apart(api: str) -> None:
    async def work(client: Any, _: Any) -> None:
        threads = [(await client.threads.create())["thread_id"] for _ in range(3)]
        given = {"input": {"problem": PROBLEM}, "context": {"max_steps": 1}}
        outs = await asyncio.gather(*(client.runs.wait(thread, "rsd", **given) for thread in threads))
        assert [len(out["steps"]) for out in outs] == [1, 1, 1]

    ask(api, work)
