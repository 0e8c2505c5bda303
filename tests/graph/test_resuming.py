import asyncio
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from rsd_graph import Generation, RSDSettings, build_rsd_graph, create_rsd_graph
from rsd_graph.errors import ModelUnreachableError
from rsd_graph.testing import ScriptedModel, ScriptedReward
from tests.graph.scripts import KEEP, REWRITE, step, thread


def test_a_new_problem_on_a_thread_starts_afresh() -> None:
    """A thread that holds a finished, or a failed, run takes the next problem without a trace of it."""
    draft = ScriptedModel(
        lambda messages, response, _: step(f"{messages[-1].text}{len(response)}", "eos" if response else "delimiter")
    )
    graph = create_rsd_graph(draft, draft, ScriptedReward([KEEP]), checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "1"}}
    assert graph.invoke({"problem": "a"}, thread)["response"] == "a0\n\na4"
    assert graph.invoke({"problem": "b"}, thread)["response"] == "b0\n\nb4"
    assert graph.invoke({"problem": "b"}, thread)["usage"].draft.prompt == 20


def test_a_failed_run_resumes_where_it_was() -> None:
    """With a checkpointer, `invoke(None)` resumes after the last kept step and decides as an unbroken run would."""
    script: list[Generation | Exception] = [
        step("one"),
        step("two"),
        ModelUnreachableError("gone"),
        step("three", "eos"),
    ]
    draft = ScriptedModel(script)
    graph = create_rsd_graph(draft, draft, ScriptedReward([KEEP]), checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "1"}}
    with pytest.raises(ModelUnreachableError):
        graph.invoke({"problem": "p"}, thread, context={"delimiter": "##"})
    assert graph.invoke(None, thread)["response"] == "one##two##three"


def test_a_fork_with_another_reward_takes_the_other_edge() -> None:
    """The edge reads the reward from the state: edit it in Studio and resume, and the step is rewritten."""
    draft, target = ScriptedModel([step("d", "eos")]), ScriptedModel([step("t", "eos")])
    graph = build_rsd_graph(draft, target, ScriptedReward([0.9])).compile(
        checkpointer=InMemorySaver(), interrupt_after=["score"]
    )
    thread: Any = {"configurable": {"thread_id": "1"}}
    graph.invoke({"problem": "p"}, thread, context={"threshold": 0.95})
    edge = graph.get_state(thread)
    assert edge.next == ("target",)
    kept = graph.update_state(edge.config, {"reward": 0.96}, as_node="score")
    assert graph.invoke(None, kept)["response"] == "d"
    rewritten = graph.update_state(edge.config, {"reward": 0.94}, as_node="score")
    assert graph.invoke(None, rewritten)["response"] == "t"


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("failing", ["draft", "target", "reward"])
def test_a_run_resumes_in_another_process(failing: str, asynchronous: bool) -> None:
    """Whichever model failed: new models and a new graph on the same checkpoints end as an unbroken run does.

    The draws under `clipping` depend on seed and step alone, and the settings come from the checkpoint.
    """

    def models(fails_at: int | None) -> Any:
        def script(name: str) -> Any:
            def say(_: Any, response: str, __: Any) -> Generation:
                index = len([each for each in response.split("##") if each])
                if name == failing and index == fails_at:
                    raise ModelUnreachableError("gone")
                return step(f"{name}{index}", tokens=1)

            return say

        def reward(steps: Any, _: Any) -> float:
            if failing == "reward" and len(steps) == fails_at:
                raise ModelUnreachableError("gone")
            return 0.5

        return ScriptedModel(script("draft")), ScriptedModel(script("target")), ScriptedReward(reward)

    def run(graph: Any, question: Any, config: Any, **call: Any) -> Any:
        out = (
            asyncio.run(graph.ainvoke(question, config, **call))
            if asynchronous
            else graph.invoke(question, config, **call)
        )
        (message,) = out.pop("messages")  # each run's message has an id of its own
        return {**out, "message": message.model_dump(exclude={"id"})}

    context = {"weighting": "clipping", "seed": 3, "max_steps": 8, "delimiter": "##"}
    unbroken = run(create_rsd_graph(*models(None)), {"problem": "p"}, None, context=context)
    rewritten = next(index for index, each in enumerate(unbroken["steps"]) if index and each.author == "target")
    saver = InMemorySaver()
    with pytest.raises(ModelUnreachableError):
        run(create_rsd_graph(*models(rewritten), checkpointer=saver), {"problem": "p"}, thread(), context=context)
    assert run(create_rsd_graph(*models(None), checkpointer=saver), None, thread()) == unbroken


def test_a_context_given_when_resuming_counts() -> None:
    """The rest of the run uses it; the steps already kept stay."""
    draft = ScriptedModel([step("one"), ModelUnreachableError("gone"), step("two")])
    graph = create_rsd_graph(draft, draft, ScriptedReward([KEEP]), checkpointer=InMemorySaver())
    with pytest.raises(ModelUnreachableError):
        graph.invoke({"problem": "p"}, thread(), context={"max_steps": 50})
    out = graph.invoke(None, thread(), context=RSDSettings(max_steps=2))
    assert (out["response"], out["stop"]) == ("one\n\ntwo", "max_steps")


def test_threads_are_kept_apart() -> None:
    """Two runs on one checkpointer share nothing."""
    draft = ScriptedModel(lambda messages, *_: step(str(messages[-1].text), "eos"))
    graph = create_rsd_graph(draft, draft, ScriptedReward([KEEP]), checkpointer=InMemorySaver())
    graph.invoke({"problem": "a"}, thread("1"))
    graph.invoke({"problem": "b"}, thread("2"))
    assert [graph.get_state(thread(name)).values["response"] for name in "12"] == ["a", "b"]


def test_a_replay_from_any_checkpoint_ends_the_same() -> None:
    """Every checkpoint of a finished run, resumed, decides each remaining step as the run did.

    Except the one before the first draft, which does not hold the run's settings yet.
    """
    draft = ScriptedModel(lambda _, response, __: step(f"d{len(response)}"))
    target = ScriptedModel(lambda _, response, __: step(f"t{len(response)}"))
    graph = create_rsd_graph(draft, target, ScriptedReward([0.5]), checkpointer=InMemorySaver())
    out = graph.invoke({"problem": "p"}, thread(), context={"weighting": "clipping", "max_steps": 5})
    assert {each.author for each in out["steps"]} == {"draft", "target"}
    history = [each for each in graph.get_state_history(thread()) if each.next and "settings" in each.values]
    assert len(history) > 15
    assert {graph.invoke(None, each.config)["response"] for each in history} == {out["response"]}


def test_a_run_can_pause_after_each_kept_step() -> None:
    """`interrupt_after=["check"]`: a person reads each step, and the run continues without being asked anything."""
    draft = ScriptedModel([step("one"), step("two"), step("three", "eos")])
    graph = build_rsd_graph(draft, draft, ScriptedReward([REWRITE])).compile(
        checkpointer=InMemorySaver(), interrupt_after=["check"]
    )
    assert graph.invoke({"problem": "p"}, thread())["response"] == "two"
    assert graph.get_state(thread()).next == ("draft",)
    out = graph.invoke(None, thread())
    assert (out["response"], out["stop"]) == ("two\n\nthree", "eos")
