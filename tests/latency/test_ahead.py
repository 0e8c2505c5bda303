import asyncio
import time
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from rsd_graph import Generation, RSDSettings, TokenUsage, build_rsd_graph, create_rsd_graph
from rsd_graph.errors import ContextOverflowError, ModelUnreachableError, RewardError
from rsd_graph.latency import draft_ahead
from tests.graph.scripts import thread
from tests.latency.slow import SlowModel, SlowReward, said, steps


def graph_of(draft: SlowModel, reward: SlowReward, target: SlowModel | None = None, **options: Any) -> Any:
    ahead, scored = draft_ahead(draft, reward)
    return create_rsd_graph(ahead, target or SlowModel(steps("t", 99)), scored, **options)


def run(graph: Any, **context: Any) -> Any:
    return asyncio.run(graph.ainvoke({"problem": "p"}, context=context))


def test_the_draft_writes_while_its_step_is_scored() -> None:
    """The answer to the next step's call is there before the reward; it is taken, and nothing is asked twice."""
    draft, reward = SlowModel(steps("d", 3)), SlowReward([1.0], turns=20)
    ahead: list[int] = []
    reward.before = lambda: ahead.append(len(draft.asked) - len(reward.asked))
    out = run(graph_of(draft, reward))
    assert out["response"] == "d0\n\nd1\n\nd2\n\nd3"
    assert ahead == [1, 1, 1, 0]  # the last one ends the text
    assert [response.count("\n\n") for response, _ in draft.asked] == [0, 1, 2, 3]
    assert draft.given_up == []
    assert out["usage"].discarded == 0


def test_the_next_call_is_predicted_exactly() -> None:
    """Seed, step limit and text of each call are those of the plain run, up to where the tokens run out."""
    plain, ahead = SlowModel(steps("d", 99)), SlowModel(steps("d", 99))
    context = {"max_tokens": 14, "max_step_tokens": 5, "seed": 7, "temperature": 0.5}
    run(create_rsd_graph(plain, plain, SlowReward([1.0])), **context)
    run(graph_of(ahead, SlowReward([1.0], turns=20)), **context)
    assert ahead.asked == plain.asked
    assert [settings.max_step_tokens for _, settings in ahead.asked] == [5, 5, 5, 2]


@pytest.mark.parametrize("finish", ["eos", "delimiter"])
def test_nothing_is_started_where_the_run_ends(finish: str) -> None:
    """Neither after the end of the text nor at a limit."""
    draft = SlowModel(lambda *_: said("a", finish))
    run(graph_of(draft, SlowReward([1.0], turns=9)), max_steps=1)
    assert len(draft.asked) == 1


def test_a_rejection_ends_the_call() -> None:
    """The draft's call for the step that does not come is cancelled before the target is asked."""
    draft, target = SlowModel(steps("d", 1)), SlowModel(steps("t", 0))
    shut = asyncio.Event()

    def say(response: str, settings: RSDSettings) -> Generation:
        draft.open = shut  # all calls after the first wait forever, unless they are ended
        return steps("d", 1)(response, settings)

    draft.say = say
    out = run(graph_of(draft, SlowReward([0.0]), target))
    assert out["response"] == "t0"
    assert draft.given_up == ["d0\n\n"]
    assert draft.running == 0


def test_discarded_work_is_counted() -> None:
    """A step that was written in vain counts as the draft's and as discarded, with what was read for it."""
    draft = SlowModel(steps("d", 99), turns=1)
    out = run(graph_of(draft, SlowReward([0.0], turns=9), SlowModel(steps("t", 0))))
    assert [response for response, _ in draft.asked] == ["", "d0\n\n"]
    assert out["usage"].draft == TokenUsage(prompt=40, cached=20, completion=8)
    assert out["usage"].discarded == 8


def test_the_tokens_of_a_call_that_is_ended_are_estimated() -> None:
    """By the time it ran and the draft's pace, at most the call's limit; its prompt counts as found in the cache."""

    async def solve() -> Any:
        draft = SlowModel(steps("d", 99), turns=1)

        def before() -> None:
            assert draft.running == 1

        def say(response: str, settings: RSDSettings) -> Generation:
            draft.turns = 100_000
            return steps("d", 99)(response, settings)

        draft.say = say
        reward = SlowReward([0.0], turns=200)
        reward.before = before
        graph = graph_of(draft, reward, SlowModel(steps("t", 0)))
        return await graph.ainvoke({"problem": "p"}, context={"max_step_tokens": 6})

    usage = asyncio.run(solve())["usage"]
    assert usage.draft.prompt == 20 + 24
    assert usage.draft.cached == 10 + 24
    assert 4 <= usage.draft.completion <= 4 + 6
    assert usage.discarded == usage.draft.completion


def test_a_reward_that_answers_at_once_leaves_nothing_to_start() -> None:
    """The draft's confidence needs no waiting: a step that it rejects has cost nothing."""
    draft = SlowModel(steps("d", 99))
    out = run(graph_of(draft, SlowReward([0.0], turns=0)), max_steps=4)
    assert [response.count("\n\n") for response, _ in draft.asked] == [0, 1, 2, 3]
    assert out["usage"].draft.completion == out["usage"].discarded == 16


def test_runs_do_not_mix() -> None:
    """Many problems at once on the same wrapper: each gets its own steps, and no call is made twice."""
    asked: list[tuple[str, str]] = []

    class OfTheProblem(SlowModel):
        async def generate(self, messages: Any, response: str, *, settings: RSDSettings, n: int = 1) -> Any:
            asked.append((messages[-1].text, response))
            (generation,) = await super().generate(messages, response, settings=settings, n=n)
            return [said(f"{messages[-1].text}{generation.text}", generation.finish)]

    async def solve() -> list[Any]:
        draft = OfTheProblem(steps("d", 4))
        graph = graph_of(draft, SlowReward([1.0], turns=9))
        return await asyncio.gather(*(graph.ainvoke({"problem": f"p{number}"}) for number in range(30)))

    for number, out in enumerate(asyncio.run(solve())):
        assert out["response"] == "\n\n".join(f"p{number}d{index}" for index in range(5))
    assert len(asked) == len(set(asked)) == 150


@pytest.mark.parametrize("way", ["cancelled", "timed out", "left"])
def test_a_run_that_is_given_up_leaves_nothing_running(way: str) -> None:
    """Neither the early call nor the reward's, whichever way the run ends."""

    async def solve() -> None:
        draft = SlowModel(steps("d", 99))
        reward = SlowReward([1.0], turns=10)
        graph = graph_of(draft, reward)
        stuck = asyncio.Event()

        def third() -> None:
            if len(reward.asked) == 3:
                draft.open = asyncio.Event()
                stuck.set()

        reward.before = third
        if way == "left":
            events = graph.astream({"problem": "p"}, stream_mode="custom")
            async for event in events:
                if event["event"] == "scored" and stuck.is_set():
                    break
            await events.aclose()
        else:
            task = asyncio.ensure_future(asyncio.wait_for(graph.ainvoke({"problem": "p"}), 600))
            await stuck.wait()
            if way == "timed out":
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0):
                        await task
            else:
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
        for _ in range(5):
            await asyncio.sleep(0)
        assert draft.running == 0

    asyncio.run(solve())


def test_a_reader_that_leaves_a_stream_without_a_loop_ends_the_call() -> None:
    """`stream` runs on another thread's loop, where the early call is cancelled too."""
    draft = SlowModel(steps("d", 99))
    graph = graph_of(draft, SlowReward([1.0], turns=10))
    events = graph.stream({"problem": "p"}, stream_mode="custom")
    for event in events:
        if event["event"] == "kept" and event["step"] == 2:
            break
    events.close()

    for _ in range(1000):
        if not draft.running:  # on another thread
            break
        time.sleep(0.01)
    assert draft.running == 0


def test_an_error_of_the_reward_ends_the_call() -> None:
    """The run fails as it would without; nobody hears of the early call."""
    draft = SlowModel(steps("d", 99), turns=1000)

    def fail() -> None:
        raise RewardError("gone")

    def say(response: str, settings: RSDSettings) -> Generation:
        draft.turns = 100_000
        return steps("d", 99)(response, settings)

    draft.say = say
    reward = SlowReward([1.0], turns=10)
    reward.before = fail
    with pytest.raises(RewardError, match="gone"):
        run(graph_of(draft, reward))
    assert draft.running == 0


@pytest.mark.parametrize("reward", [0.0, 1.0])
def test_an_error_of_the_early_call_is_the_drafts(reward: float) -> None:
    """If the step is accepted the run meets it as it would have; if not, it is nobody's."""

    def say(response: str, settings: RSDSettings) -> Generation:
        if response:
            raise ModelUnreachableError("gone")
        return steps("d", 99)(response, settings)

    graph = graph_of(SlowModel(say), SlowReward([reward], turns=9), SlowModel(steps("t", 0)))
    if reward:
        with pytest.raises(ModelUnreachableError) as raised:
            run(graph)
        assert [step.text for step in raised.value.steps] == ["d0"]
    else:
        assert run(graph)["response"] == "t0"


def test_a_full_context_ends_the_run() -> None:
    """Found early, it ends the run as it does without the wrapper."""

    def say(response: str, settings: RSDSettings) -> Generation:
        if response:
            raise ContextOverflowError("full")
        return steps("d", 99)(response, settings)

    out = run(graph_of(SlowModel(say), SlowReward([1.0], turns=9)))
    assert (out["stop"], out["response"]) == ("context_overflow", "d0")


def test_a_run_that_stops_between_the_nodes_and_is_resumed_asks_again() -> None:
    """What was started early ends with the call that started it; the next call decides and writes the same."""
    draft, reward = SlowModel(steps("d", 3)), SlowReward([1.0], turns=1)
    ahead, scored = draft_ahead(draft, reward)
    graph = build_rsd_graph(ahead, SlowModel(steps("t", 99)), scored).compile(
        checkpointer=InMemorySaver(), interrupt_after=["score"]
    )
    given: Any = {"problem": "p"}
    while not (out := asyncio.run(graph.ainvoke(given, thread()))).get("stop"):
        assert draft.running == 0
        given = None
    assert out["response"] == "d0\n\nd1\n\nd2\n\nd3"


def test_a_fork_with_other_settings_misses_what_was_started() -> None:
    """The early call is used only where it asked exactly the same."""
    draft, reward = (
        SlowModel(lambda response, settings: said(f"{settings.temperature}{len(response)}")),
        SlowReward([1]),
    )
    graph = graph_of(draft, reward, checkpointer=InMemorySaver())

    async def solve() -> Any:
        await graph.ainvoke({"problem": "p"}, thread(), context={"max_steps": 3})
        after_first_score = [state async for state in graph.aget_state_history(thread()) if state.next == ("check",)][
            -1
        ]
        return await graph.ainvoke(None, after_first_score.config, context={"temperature": 1.0})

    assert [step.text for step in asyncio.run(solve())["steps"]] == ["0.00", "1.06", "1.012"]


def test_outside_the_graph_nothing_is_started() -> None:
    """A reward that only scores, and a draft that only writes, are what they were."""
    draft, reward = SlowModel(steps("d", 99)), SlowReward([0.5])
    ahead, scored = draft_ahead(draft, reward)

    async def ask() -> Any:
        messages = [HumanMessage("p")]
        written = await ahead.generate(messages, "", settings=RSDSettings(), n=3)
        return len(written), await scored.score(messages, [], [written[0]])

    count, (score,) = asyncio.run(ask())
    assert (count, score.reward, len(draft.asked)) == (3, 0.5, 1)
    assert (ahead.name, scored.name) == ("slow", "slow")
