import asyncio
from typing import Any

import pytest

from rsd_graph import create_rsd_graph
from rsd_graph.testing import ScriptedModel, ScriptedReward
from tests.graph.scripts import KEEP, REWRITE, step


def test_events_report_each_step_as_it_happens() -> None:
    """Proposed, scored, replaced, kept and finished, in this order."""
    draft = ScriptedModel([step("bad", tokens=1), step("good", "eos", tokens=2)])
    graph = create_rsd_graph(draft, ScriptedModel([step("better", tokens=3)]), ScriptedReward([0.1, 0.8]))
    assert list(graph.stream({"problem": "p"}, stream_mode="custom")) == [
        {"event": "proposed", "step": 0, "text": "bad", "finish": "delimiter", "tokens": 1},
        {"event": "scored", "step": 0, "reward": 0.1, "accepted": False},
        {"event": "replaced", "step": 0, "text": "better", "finish": "delimiter", "tokens": 3},
        {"event": "kept", "step": 0, "text": "better", "author": "target", "reward": 0.1},
        {"event": "proposed", "step": 1, "text": "good", "finish": "eos", "tokens": 2},
        {"event": "scored", "step": 1, "reward": 0.8, "accepted": True},
        {"event": "kept", "step": 1, "text": "good", "author": "draft", "reward": 0.8},
        {"event": "finished", "stop": "eos", "answer": None, "steps": 2},
    ]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_step_is_shown_before_the_next_is_written(asynchronous: bool) -> None:
    """A consumer sees each step as it happens, not all of them at the end."""
    draft = ScriptedModel([step("one"), step("two"), step("three", "eos")])
    graph = create_rsd_graph(draft, draft, ScriptedReward([KEEP]))
    calls_made: list[int] = []
    question: Any = {"problem": "p"}

    async def run() -> None:
        event: Any
        async for event in graph.astream(question, stream_mode="custom"):
            if event["event"] == "kept":
                calls_made.append(len(draft.calls))

    if asynchronous:
        asyncio.run(run())
    else:
        calls_made = [
            len(draft.calls) for event in graph.stream(question, stream_mode="custom") if event["event"] == "kept"
        ]
    assert calls_made == [1, 2, 3]


def test_updates_name_the_nodes_in_order() -> None:
    """`stream_mode="updates"` shows the path: a rewritten step goes through the target, a kept one does not."""
    graph = create_rsd_graph(ScriptedModel([step("d")]), ScriptedModel([step("t", "eos")]), ScriptedReward([0.9, 0.1]))
    nodes = [name for update in graph.stream({"problem": "p"}, stream_mode="updates") for name in update]
    assert nodes == ["draft", "score", "check", "draft", "score", "target", "check"]


def test_values_grow_step_by_step() -> None:
    """`stream_mode="values"` shows the output so far: the steps kept, and no stop reason before the end."""
    draft = ScriptedModel([step("one"), step("two", "eos")])
    graph = create_rsd_graph(draft, draft, ScriptedReward([KEEP]))
    seen: list[tuple[str, str | None]] = []
    value: Any
    for value in graph.stream({"problem": "p"}, stream_mode="values"):
        now = (value.get("response", ""), value.get("stop"))
        if not seen or seen[-1] != now:
            seen.append(now)
    assert seen == [("", None), ("one", None), ("one\n\ntwo", "eos")]


def test_events_of_runs_at_once_are_kept_apart() -> None:
    """Two streams of one graph, interleaved: each shows its own problem's steps only."""
    model = ScriptedModel(lambda messages, response, _: step(messages[-1].text, "eos" if response else "delimiter"))
    graph = create_rsd_graph(model, model, ScriptedReward([REWRITE]))

    async def texts(problem: str) -> set[str]:
        question: Any = {"problem": problem}
        events: list[Any] = [event async for event in graph.astream(question, stream_mode="custom")]
        assert [event["event"] for event in events].count("finished") == 1
        return {event["text"] for event in events if "text" in event}

    async def run() -> list[set[str]]:
        return list(await asyncio.gather(*[texts(problem) for problem in "abc"]))

    assert asyncio.run(run()) == [{"a"}, {"b"}, {"c"}]
