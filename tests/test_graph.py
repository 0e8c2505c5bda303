import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from pydantic import ValidationError
from typing_extensions import TypedDict

from rsd_graph import Generation, RSDSettings, Score, Step, TokenUsage, Usage, build_rsd_graph, create_rsd_graph
from rsd_graph.acceptance import accepts
from rsd_graph.errors import (
    ContextOverflowError,
    InvalidProblemError,
    ModelError,
    ModelUnreachableError,
    RewardError,
    RSDError,
)
from rsd_graph.settings import Weighting
from rsd_graph.testing import ScriptedModel, ScriptedReward

GOLDEN = Path(__file__).parents[2] / "shared" / "golden" / "reference_traces.json"
KEEP, REWRITE = 1.0, 0.0
LONG = 60
"""More steps than LangGraph's default of 25 supersteps allows."""


def step(text: str, finish: str = "delimiter", tokens: int = 0) -> Generation:
    return Generation(text, finish, TokenUsage(prompt=10, completion=tokens))  # type: ignore[arg-type]


def endless() -> Any:
    """A graph that never ends by itself."""
    model = ScriptedModel([step("and so on")])
    return create_rsd_graph(model, model, ScriptedReward([KEEP]))


@pytest.mark.skipif(not GOLDEN.exists(), reason="the golden traces are not part of the repository")
@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_authors_decisions_are_reproduced(asynchronous: bool) -> None:
    """Response and authors of every problem that the authors' own decision loop solved, step by step."""
    problems = 0
    for scenario in json.loads(GOLDEN.read_text()):
        context = {name: scenario[name] for name in ("threshold", "max_steps", "max_tokens", "delimiter")}
        for problem in scenario["problems"]:
            models = {
                role: ScriptedModel(
                    {
                        response: step(said[role]["text"], "delimiter" if said[role]["stop"] else "eos")
                        for response, said in problem["models"].items()
                        if role in said
                    }
                )
                for role in ("draft", "target")
            }
            graph = create_rsd_graph(models["draft"], models["target"], ScriptedReward(problem["rewards"]))
            question: Any = {"problem": problem["problem"]}
            if asynchronous:
                out = asyncio.run(graph.ainvoke(question, context=context))
            else:
                out = graph.invoke(question, context=context)
            assert out["response"] == problem["response"]
            assert [each.author for each in out["steps"]] == problem["authors"]
            assert [each.reward for each in out["steps"]] == problem["rewards"]
            problems += 1
    assert problems == 118


@hypothesis_settings(deadline=None, max_examples=60)
@given(
    rewards=st.lists(st.floats(0, 1), min_size=1, max_size=8),
    weighting=st.sampled_from(["step", "constant", "clipping", "sigmoidal", "logistic"]),
    seed=st.integers(0, 1000),
)
def test_the_graph_decides_as_the_algorithm(rewards: list[float], weighting: Weighting, seed: int) -> None:
    """Each step's author follows from its reward, the weighting and the seeded draw, under every weighting function."""
    settings = RSDSettings(weighting=weighting, seed=seed, max_steps=len(rewards))
    graph = create_rsd_graph(ScriptedModel([step("d")]), ScriptedModel([step("t")]), ScriptedReward(rewards))
    out = graph.invoke({"problem": "p"}, context=settings)
    expected = ["draft" if accepts(reward, settings, index) else "target" for index, reward in enumerate(rewards)]
    assert [each.author for each in out["steps"]] == expected
    assert out["response"] == "\n\n".join(author[0] for author in expected)


def test_the_output_holds_what_the_contract_names() -> None:
    """Response, answer, steps with author and reward, stop and usage."""
    draft = ScriptedModel([step("2+2 is 5", tokens=5), step(r"so \boxed{4}", "eos", tokens=6)])
    target = ScriptedModel([step("2+2 is 4", tokens=7)])
    out = create_rsd_graph(draft, target, ScriptedReward([0.2, 0.9])).invoke({"problem": "2+2?"})
    assert out == {
        "response": "2+2 is 4\n\nso \\boxed{4}",
        "answer": "4",
        "steps": [
            Step("2+2 is 4", "target", 0.2, "delimiter", 7),
            Step(r"so \boxed{4}", "draft", 0.9, "eos", 6),
        ],
        "stop": "eos",
        "usage": Usage(
            draft=TokenUsage(prompt=20, completion=11),
            target=TokenUsage(prompt=10, completion=7),
            discarded=5,
            question=10,
            response=13,
        ),
    }


def test_the_models_see_conversation_and_exact_prefix() -> None:
    """System prompt, history, problem; and every kept step followed by the delimiter, untrimmed."""
    draft = ScriptedModel([step(" one "), step("two", "eos")])
    history: list[AnyMessage] = [HumanMessage("hello"), AIMessage("hi")]
    graph = create_rsd_graph(draft, draft, ScriptedReward([KEEP]))
    graph.invoke({"problem": "p", "history": history}, context={"system_prompt": "think", "delimiter": "##"})
    messages, response, settings = draft.calls[1]
    assert messages == [SystemMessage("think"), *history, HumanMessage("p")]
    assert response == " one ##"
    assert settings.delimiter == "##"


def test_history_may_come_as_json() -> None:
    """An HTTP front end, Studio for one, sends messages as dicts."""
    draft = ScriptedModel([step("x", "eos")])
    history: Any = [{"role": "user", "content": "hello"}, {"type": "ai", "content": "hi"}]
    create_rsd_graph(draft, draft, ScriptedReward([KEEP])).invoke({"problem": "p", "history": history})
    assert draft.calls[0][0][1:] == [HumanMessage("hello"), AIMessage("hi"), HumanMessage("p")]


def test_no_system_prompt_is_no_system_message() -> None:
    """An empty system prompt leaves the conversation without one."""
    draft = ScriptedModel([step("x", "eos")])
    create_rsd_graph(draft, draft, ScriptedReward([KEEP])).invoke({"problem": "p"}, context={"system_prompt": ""})
    assert draft.calls[0][0] == [HumanMessage("p")]


def test_every_call_has_a_sampling_seed_of_its_own() -> None:
    """Draft and target, and one step and the next, do not share random numbers; a second run repeats them."""
    seeds = []
    for _ in range(2):
        draft, target = ScriptedModel([step("d")]), ScriptedModel([step("t")])
        create_rsd_graph(draft, target, ScriptedReward([REWRITE])).invoke({"problem": "p"}, context={"max_steps": 3})
        seeds.append([call[2].seed for call in draft.calls + target.calls])
    assert len(set(seeds[0])) == 6
    assert seeds[0] == seeds[1]


@pytest.mark.parametrize(
    ("proposals", "context", "stop", "steps"),
    [
        ([step("a"), step("b", "eos")], {}, "eos", 2),
        ([step("a"), step("", "eos")], {}, "eos", 1),
        ([step("a")], {"max_steps": 3}, "max_steps", 3),
        ([step("a", tokens=5)], {"max_tokens": 12}, "max_tokens", 3),
        ([step("")], {}, "no_progress", 0),
        ([step(" \n "), step("")], {}, "no_progress", 0),
        ([step("a"), ContextOverflowError("too long")], {}, "context_overflow", 1),
        ([ContextOverflowError("too long")], {}, "context_overflow", 0),
        ([step("a", "length"), step("", "length")], {}, "no_progress", 1),
    ],
)
def test_every_ending_has_its_name(
    proposals: list[Generation | Exception], context: dict[str, Any], stop: str, steps: int
) -> None:
    """The run ends by itself, says why, and keeps no empty step."""
    graph = create_rsd_graph(ScriptedModel(proposals), ScriptedModel([step("")]), ScriptedReward([KEEP]))
    out = graph.invoke({"problem": "p"}, context=context)
    assert (out["stop"], len(out["steps"])) == (stop, steps)
    assert all(each.text.strip() for each in out["steps"])


def test_a_target_whose_context_is_full_ends_the_run() -> None:
    """The steps so far are kept, and the rejected draft is counted as discarded."""
    target = ScriptedModel([ContextOverflowError("too long")])
    out = create_rsd_graph(ScriptedModel([step("a", tokens=4)]), target, ScriptedReward([KEEP, REWRITE])).invoke(
        {"problem": "p"}
    )
    assert (out["stop"], out["response"], out["usage"].discarded) == ("context_overflow", "a", 4)


def test_a_reward_model_whose_context_is_full_ends_the_run() -> None:
    """As a full model's does: by name, with the steps so far, and nothing kept that was not scored."""
    draft = ScriptedModel([step("a", tokens=4)])
    reward = ScriptedReward([KEEP, ContextOverflowError("too long")])
    out = create_rsd_graph(draft, draft, reward).invoke({"problem": "p"})
    assert (out["stop"], out["response"], out["usage"].discarded) == ("context_overflow", "a", 4)


def test_a_blank_draft_goes_to_the_target_unscored() -> None:
    """Even a reward model that likes everything does not get to keep an empty step."""
    reward = ScriptedReward([RewardError("asked about nothing")])
    out = create_rsd_graph(ScriptedModel([step("")]), ScriptedModel([step("real", "eos")]), reward).invoke(
        {"problem": "p"}
    )
    assert out["steps"] == [Step("real", "target", None, "eos")]


def test_the_token_limit_bounds_the_last_step() -> None:
    """A step may take what the run has left, and no more than a step's own limit."""
    draft = ScriptedModel([step("a", "length", tokens=6)])
    graph = create_rsd_graph(draft, draft, ScriptedReward([KEEP]))
    out = graph.invoke({"problem": "p"}, context={"max_tokens": 10, "max_step_tokens": 6})
    assert [call[2].max_step_tokens for call in draft.calls] == [6, 4]
    assert out["response"] == "aa"


def test_any_real_number_is_a_reward() -> None:
    """A process reward model of one's own returns NumPy's; what is kept is a float."""
    reward: Any = np.float32(0.75)
    graph = create_rsd_graph(ScriptedModel([step("a", "eos")]), ScriptedModel([step("t")]), ScriptedReward([reward]))
    (kept,) = graph.invoke({"problem": "p"})["steps"]
    assert (kept.reward, type(kept.reward)) == (0.75, float)


@pytest.mark.parametrize("scores", [None, [], [None], [0.5], [Score(0.5), Score(0.5)]])
def test_a_reward_model_must_answer_with_one_score(scores: Any) -> None:
    """Anything else is named, with what was expected."""

    class Odd:
        name = "odd"

        async def score(self, *_: object) -> Any:
            return scores

    graph = create_rsd_graph(ScriptedModel([step("a")]), ScriptedModel([step("t")]), Odd())
    with pytest.raises(RewardError, match=r"odd returned .* one Score"):
        graph.invoke({"problem": "p"})


@pytest.mark.parametrize("reward", [float("nan"), float("inf"), 1.7, -0.1, None, "high"])
def test_a_reward_that_is_none_is_an_error(reward: Any) -> None:
    """NaN, infinity, nothing and numbers outside [0, 1] are named, not compared."""
    graph = create_rsd_graph(
        ScriptedModel([step("a")]), ScriptedModel([step("t")]), ScriptedReward([reward], name="prm")
    )
    with pytest.raises(RewardError, match=r"prm gave the reward .*\[0, 1\]"):
        graph.invoke({"problem": "p"})


def test_a_model_must_answer_with_one_generation() -> None:
    """A generator that returns none is named."""

    class Silent:
        name = "silent"

        async def generate(self, *_: object, **__: object) -> list[Generation]:
            return []

    graph = create_rsd_graph(Silent(), Silent(), ScriptedReward([KEEP]))
    with pytest.raises(ModelError, match=r"silent returned \[\], expected"):
        graph.invoke({"problem": "p"})


@pytest.mark.parametrize("problem", ["", "  \n", None, 3, "half a \ud83d"])
def test_a_problem_must_be_text(problem: Any) -> None:
    """An empty problem is refused before any model is asked."""
    draft = ScriptedModel([step("a")])
    with pytest.raises(InvalidProblemError):
        create_rsd_graph(draft, draft, ScriptedReward([KEEP])).invoke({"problem": problem})
    assert draft.calls == []


def test_an_error_carries_the_steps_so_far() -> None:
    """What was done before a server died is not lost."""
    draft = ScriptedModel([step("one"), step("two"), ModelUnreachableError("gone")])
    with pytest.raises(RSDError, match="gone") as caught:
        create_rsd_graph(draft, draft, ScriptedReward([KEEP])).invoke({"problem": "p"})
    assert [each.text for each in caught.value.steps] == ["one", "two"]


def test_settings_out_of_range_are_refused_by_name() -> None:
    """The graph does not start."""
    with pytest.raises(ValidationError, match="threshold"):
        endless().invoke({"problem": "p"}, context={"threshold": 1.5})


def test_events_tell_each_step_as_it_happens() -> None:
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


def test_invoke_and_batch_run_past_any_recursion_limit() -> None:
    """The run ends by `max_steps`, also where LangGraph or the caller sets a small limit."""
    context = {"max_steps": LONG}
    assert endless().invoke({"problem": "p"}, {"recursion_limit": 5}, context=context)["stop"] == "max_steps"
    assert endless().with_config(recursion_limit=5).invoke({"problem": "p"}, context=context)["stop"] == "max_steps"
    for out in endless().batch([{"problem": "p"}] * 3, context=context):
        assert len(out["steps"]) == LONG


def test_async_batch_and_events_run_past_any_recursion_limit() -> None:
    """The async twins end as the others do."""

    async def run() -> None:
        graph = endless()
        context = {"max_steps": LONG}
        for out in await graph.abatch([{"problem": "p"}] * 3, context=context):
            assert len(out["steps"]) == LONG
        names = [
            event["event"] async for event in graph.astream_events({"problem": "p"}, context=context, version="v2")
        ]
        assert names[-1] == "on_chain_end"

    asyncio.run(run())


def test_a_tool_and_a_pipe_run_past_any_recursion_limit() -> None:
    """Inside a tool, and inside an LCEL pipe, LangChain sets a limit of 25."""
    graph = create_rsd_graph(
        ScriptedModel([step("a")]),
        ScriptedModel([step("b")]),
        ScriptedReward([KEEP]),
        settings=RSDSettings(max_steps=LONG),
    )

    @tool
    def solve(problem: str) -> str:
        """Solve a problem."""
        return str(graph.invoke({"problem": problem})["stop"])

    assert solve.invoke({"problem": "p"}) == "max_steps"
    ask: Any = RunnableLambda(lambda text: {"problem": text})
    pipe = ask | graph | RunnableLambda(lambda out: out["stop"])
    assert pipe.invoke("p") == "max_steps"
    assert asyncio.run(pipe.ainvoke("p")) == "max_steps"


class ParentState(TypedDict):
    problem: str
    response: str
    answer: str | None


def parent_of(child: Any, context_schema: Any = None) -> Any:
    parent = StateGraph(ParentState, context_schema)
    parent.add_node("solver", child)
    parent.add_edge(START, "solver")
    parent.add_edge("solver", END)
    return parent.compile()


def test_a_subgraph_shares_state_and_events_with_its_parent() -> None:
    """The parent gives the problem and gets the answer; its small recursion limit is its own."""
    draft = ScriptedModel([step("a")] * LONG + [step(r"\boxed{1}", "eos")])
    parent = parent_of(create_rsd_graph(draft, draft, ScriptedReward([KEEP])))
    chunks = list(
        parent.stream({"problem": "p"}, {"recursion_limit": 5}, stream_mode=["custom", "values"], subgraphs=True)
    )
    assert chunks[-1][2]["answer"] == "1"
    assert sum(chunk[1] == "custom" for chunk in chunks) == 3 * (LONG + 1) + 1
    assert asyncio.run(parent.ainvoke({"problem": "p"}, {"recursion_limit": 5}))["answer"] == "1"


@pytest.mark.parametrize(
    ("context", "steps"), [(None, 4), ({"max_steps": 2}, 2), ({"user": "ada"}, 4), (RSDSettings(max_steps=3), 3)]
)
def test_a_parents_context_counts_if_it_holds_settings(context: Any, steps: int) -> None:
    """A parent's context of another kind leaves the child with the settings it was made with."""
    model = ScriptedModel([step("a")])
    child = create_rsd_graph(model, model, ScriptedReward([KEEP]), settings=RSDSettings(max_steps=4))
    draft_steps = parent_of(child).invoke({"problem": "p"}, context=context)["response"].split("\n\n")
    assert len(draft_steps) == steps


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


def test_an_error_does_not_carry_another_problems_steps() -> None:
    """What an earlier run left on the thread is not this one's."""
    draft = ScriptedModel([step("a", "eos"), ModelUnreachableError("gone")])
    graph = create_rsd_graph(draft, draft, ScriptedReward([KEEP]), checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "1"}}
    graph.invoke({"problem": "a"}, thread)
    with pytest.raises(ModelUnreachableError) as caught:
        graph.invoke({"problem": "b"}, thread)
    assert caught.value.steps == ()


def test_a_failed_run_resumes_where_it_was() -> None:
    """With a checkpointer, `invoke(None)` goes on after the last kept step and decides as an unbroken run would."""
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
    """The edge reads the reward from the state: editing it in Studio, and running on, rewrites the step."""
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


def test_the_drawing_shows_the_algorithm() -> None:
    """Studio draws START -> draft -> score -> check | target; target -> check; check -> draft | END."""
    drawing = endless().get_graph()
    assert {(edge.source, edge.target, edge.conditional) for edge in drawing.edges} == {
        ("__start__", "draft", False),
        ("draft", "score", False),
        ("score", "check", True),
        ("score", "target", True),
        ("target", "check", False),
        ("check", "draft", True),
        ("check", "__end__", True),
    }
