"""Beam search over steps, and process best of n, which is the beam of one."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import BaseMessage

from rsd_graph import Generation, RSDSettings, Score, Step, TokenUsage
from rsd_graph.errors import ConfigurationError, ContextOverflowError, ModelError, RewardError
from rsd_graph.state import MAX_BLANK_STEPS
from rsd_graph.strategies.beam import beam
from rsd_graph.strategies.outcome import Models, Outcome, Strategy
from rsd_graph.strategies.process_best_of_n import process_best_of_n
from rsd_graph.testing import ScriptedModel, ScriptedReward
from tests.graph.scripts import step

Write = Callable[[str, int], Generation]
"""What a model writes after a response, as the candidate with this number."""


class Sampler:
    """A model whose candidates depend on the response so far and on their number alone."""

    name = "sampler"

    def __init__(self, write: Write) -> None:
        self._write = write
        self.calls: list[tuple[str, int, RSDSettings]] = []

    async def generate(
        self,
        messages: Sequence[BaseMessage],  # noqa: ARG002  # of the protocol
        response: str,
        *,
        settings: RSDSettings,
        n: int = 1,
    ) -> list[Generation]:
        self.calls.append((response, n, settings))
        return [self._write(response, number) for number in range(n)]


def ended(text: str, tokens: int = 1) -> Generation:
    return step(text, "eos", tokens)


def by_text(rewards: dict[str, float]) -> ScriptedReward:
    return ScriptedReward(lambda _, candidate: rewards[candidate.text])


def solve(
    strategy: Strategy, writes: Write | Any, reward: Any, watch: list[Any] | None = None, **settings: Any
) -> Outcome:
    model = Sampler(writes) if callable(writes) else writes
    nobody = ScriptedModel([RuntimeError("not asked")])
    told: list[Any] = [] if watch is None else watch

    async def listen(event: Any) -> None:
        told.append(event)

    models = Models(model, nobody, reward)
    return asyncio.run(strategy(models, "2+2?", RSDSettings(**settings), listen))


def table(**rows: list[Generation]) -> Write:
    """Candidates by the last step's text; those of the first step are `first`."""
    return lambda response, number: rows[response.rstrip().rpartition("\n")[2] or "first"][number]


def test_process_best_of_n_keeps_the_best_candidate_of_each_step() -> None:
    """The next candidates follow the one that was kept, and the last step ends the run."""
    writes = table(first=[step("a"), step("b"), step("c")], b=[ended("\\boxed{1}"), step("d"), ended("\\boxed{4}")])
    reward = by_text({"a": 0.2, "b": 0.9, "c": 0.5, "\\boxed{1}": 0.1, "d": 0.2, "\\boxed{4}": 0.3})
    outcome = solve(process_best_of_n(3), writes, reward)
    assert (outcome.response, outcome.answer, outcome.stop) == ("b\n\n\\boxed{4}", "4", "eos")
    assert [(each.author, each.reward) for each in outcome.steps] == [("draft", 0.9), ("draft", 0.3)]
    assert outcome.answers == ()


def test_the_reward_scores_all_candidates_in_one_request() -> None:
    """After the steps that were kept."""
    asked: list[tuple[list[str], list[str]]] = []

    class Reward:
        name = "prm"

        async def score(self, _: Any, steps: Sequence[Step], candidates: Sequence[Generation]) -> list[Score]:
            asked.append(([each.text for each in steps], [each.text for each in candidates]))
            return [Score(0.5) for _ in candidates]

    solve(process_best_of_n(2), table(first=[step("a"), step("b")], a=[ended("x"), ended("y")]), Reward())
    assert asked == [([], ["a", "b"]), (["a"], ["x", "y"])]


def test_a_beam_keeps_several_solutions() -> None:
    """The one that was second at first wins in the end; of each, only the best continuations remain."""
    writes = table(
        first=[step("a"), step("b"), step("c"), step("d")],
        a=[ended("a0"), ended("a1")],
        c=[ended("c0"), ended("c1")],
    )
    rewards = {"a": 0.8, "b": 0.1, "c": 0.7, "d": 0.2, "a0": 0.3, "a1": 0.4, "c0": 0.9, "c1": 0.5}
    told: list[Any] = []
    outcome = solve(beam(2, 2), writes, by_text(rewards), told)
    assert outcome.response == "c\n\nc0"
    chosen = [(each["step"], each["text"]) for each in told if each["event"] == "candidate" and each["chosen"]]
    assert chosen == [(0, "a"), (0, "c"), (1, "c0"), (1, "c1")]
    numbers = [each["number"] for each in told if each["event"] == "candidate"]
    assert numbers == [0, 1, 2, 3, 0, 1, 2, 3]
    assert len(outcome.answers) == 2


def test_a_finished_solution_keeps_its_place() -> None:
    """Better ones may follow, but fewer are continued; it wins if its reward is the highest in the end."""
    writes = table(
        first=[ended("done"), step("a"), step("b"), step("c")], a=[step("a0"), step("a1")], a1=[ended("x"), ended("y")]
    )
    rewards = {"done": 0.6, "a": 0.9, "b": 0.1, "c": 0.2, "a0": 0.8, "a1": 0.9, "x": 0.5, "y": 0.3}
    model = Sampler(writes)
    assert solve(beam(2, 2), model, by_text(rewards)).response == "done"
    assert [(response, n) for response, n, _ in model.calls] == [("", 4), ("a\n\n", 2), ("a\n\na1\n\n", 2)]
    assert solve(beam(2, 2), writes, by_text({**rewards, "x": 0.7})).response == "a\n\na1\n\nx"


def test_a_finished_solution_wins_over_a_cut_one() -> None:
    """Whatever their rewards; with none that is finished, the best of the others is the outcome."""
    writes = table(first=[ended("done"), step("a")], a=[step("b")])
    outcome = solve(beam(2, 1), writes, by_text({"done": 0.1, "a": 0.9, "b": 0.9}), max_steps=2)
    assert (outcome.response, outcome.stop) == ("done", "eos")
    cut = solve(beam(2, 1), lambda *_: step("on"), ScriptedReward([0.1, 0.2, 0.3, 0.9]), max_steps=2)
    assert (cut.stop, [each.reward for each in cut.steps]) == ("max_steps", [0.2, 0.9])


@pytest.mark.parametrize("strategy", [process_best_of_n(3), beam(1, 3), beam(3, 1)])
def test_of_equal_rewards_the_first_is_kept(strategy: Strategy) -> None:
    assert solve(strategy, lambda _, number: ended(f"{number}"), ScriptedReward([0.5])).response == "0"


@pytest.mark.parametrize(
    ("settings", "stop", "steps"),
    [
        ({"max_steps": 3}, "max_steps", 3),
        ({"max_tokens": 10}, "max_tokens", 4),
        ({"max_tokens": 1}, "max_tokens", 1),
    ],
)
@pytest.mark.parametrize("strategy", [process_best_of_n(2), beam(2, 2)])
def test_limits_end_a_solution(strategy: Strategy, settings: dict[str, Any], stop: str, steps: int) -> None:
    """Each solution has them for itself; its last step may take what is left of the tokens."""
    model = Sampler(lambda *_: step("a", tokens=3))
    outcome = solve(strategy, model, ScriptedReward([0.5]), max_step_tokens=5, **settings)
    assert (outcome.stop, len(outcome.steps)) == (stop, steps)
    left = settings.get("max_tokens", 100) - 3 * (steps - 1)
    assert model.calls[-1][2].max_step_tokens == min(5, left)


@pytest.mark.parametrize("strategy", [process_best_of_n(2), beam(2, 2)])
def test_a_context_overflow_ends_a_solution(strategy: Strategy) -> None:
    """Of the writer's context, or of the reward model's, whose candidates are thrown away. Zero steps are possible."""

    def overflows(response: str, _: int) -> Generation:
        if response:
            raise ContextOverflowError("too long")
        return step("a", tokens=3)

    outcome = solve(strategy, overflows, ScriptedReward([0.5]))
    assert (outcome.response, outcome.stop) == ("a", "context_overflow")
    outcome = solve(strategy, lambda *_: step("a", tokens=3), ScriptedReward([ContextOverflowError("too long")]))
    assert (outcome.response, outcome.answer, outcome.stop, outcome.steps) == ("", None, "context_overflow", ())
    assert outcome.usage.discarded == outcome.usage.draft.completion > 0
    with pytest.raises(ModelError):
        solve(strategy, ScriptedModel([ModelError("broken")]), ScriptedReward([0.5]))


def test_blank_candidates_rank_last_and_are_not_scored() -> None:
    """If all are blank, one is kept for the model to write on after it; at the end of the response, none is."""
    scored: list[str] = []

    def reward(_: Sequence[Step], candidate: Generation) -> float:
        scored.append(candidate.text)
        return 0.0

    writes = table(first=[step(" "), step("a")], a=[step(""), step("")])
    outcome = solve(process_best_of_n(2), writes, ScriptedReward(reward), max_steps=3)
    assert (outcome.response, scored) == ("a", ["a"])
    outcome = solve(process_best_of_n(2), lambda *_: step("", tokens=1), ScriptedReward(reward))
    assert (outcome.stop, outcome.steps) == ("no_progress", ())
    assert outcome.usage.draft.completion == 2 * MAX_BLANK_STEPS


def test_a_blank_end_of_text_is_no_step() -> None:
    """It ends the solution before it."""
    writes = table(first=[step("\\boxed{4}"), step("b")], **{"\\boxed{4}": [ended(""), step("c")]})
    outcome = solve(process_best_of_n(2), writes, by_text({"\\boxed{4}": 0.9, "b": 0.1, "": 0.8, "c": 0.7}))
    assert (outcome.response, outcome.answer, outcome.stop, len(outcome.steps)) == ("\\boxed{4}", "4", "eos", 1)


def test_kept_steps_are_told_as_soon_as_they_are_settled() -> None:
    """For one solution after each step; for a beam when all that are left share the step, and the rest at the end."""
    told: list[Any] = []
    solve(
        process_best_of_n(2),
        table(first=[step("a"), step("b")], a=[ended("x"), ended("y")]),
        ScriptedReward([1.0]),
        told,
    )
    assert [each["text"] for each in told] == ["a", "b", "a", "x", "y", "x"]
    assert [each["event"] for each in told].count("kept") == 2
    told.clear()
    writes = table(
        first=[step("a"), step("b"), step("c"), step("d")],
        a=[step("p"), step("q")],
        b=[step("r"), step("s")],
        p=[ended("x"), ended("y")],
        q=[ended("z"), ended("w")],
    )
    rewards = dict.fromkeys("abpqx", 0.9) | dict.fromkeys("cdrsyzw", 0.1)
    solve(beam(2, 2), writes, by_text(rewards), told)
    kept = [(index, each["text"]) for index, each in enumerate(told) if each["event"] == "kept"]
    assert kept == [(8, "a"), (13, "p"), (14, "x")]


def test_beams_draw_different_random_numbers() -> None:
    """And each step does; the same seed repeats all of them, another one none."""

    def seeds(seed: int) -> list[int]:
        model = Sampler(lambda *_: step("a"))
        solve(beam(2, 2), model, ScriptedReward([0.5]), seed=seed, max_steps=3)
        return [settings.seed for *_, settings in model.calls]

    assert seeds(1) == seeds(1)
    assert len({*seeds(1)}) == 5
    assert not {*seeds(1)} & {*seeds(2)}


@given(
    width=st.integers(1, 3),
    expand=st.integers(1, 3),
    rewards=st.lists(st.floats(0, 1), min_size=1, max_size=40),
    ends=st.lists(st.sampled_from(["delimiter", "eos", "length"]), min_size=1, max_size=40),
)
def test_every_token_is_counted_once(width: int, expand: int, rewards: list[float], ends: list[str]) -> None:
    """What was written is either the response or discarded, and every reading of the prompt counts."""
    written: list[Generation] = []

    def writes(_: str, __: int) -> Generation:
        finish: Any = ends[len(written) % len(ends)]
        made = Generation(f"s{len(written)}", finish, TokenUsage(10, 4, 1 + len(written) % 3))
        written.append(made)
        return made

    reward = ScriptedReward(lambda _, candidate: rewards[int(candidate.text[1:]) % len(rewards)])
    outcome = solve(beam(width, expand), writes, reward, max_steps=4)
    usage = outcome.usage
    assert usage.draft == sum((each.usage for each in written), TokenUsage())
    assert usage.response == sum(each.tokens for each in outcome.steps)
    assert usage.response + usage.discarded == usage.draft.completion
    assert usage.question == 10
    assert (usage.target, usage.reward) == (TokenUsage(), TokenUsage())
    if "delimiter" not in ends and "length" not in ends:
        assert outcome.steps[-1].reward == max(rewards[: width * expand] if len(rewards) >= width * expand else rewards)


def test_tokens_of_the_reward_and_of_the_target_are_counted() -> None:
    """The target may write instead."""

    class Reward:
        name = "prm"

        async def score(self, _: Any, __: Any, candidates: Sequence[Generation]) -> list[Score]:
            return [Score(0.5, TokenUsage(prompt=7)) for _ in candidates]

    target = Sampler(lambda *_: ended("x", tokens=3))
    models = Models(ScriptedModel([RuntimeError("not asked")]), target, Reward())
    outcome = asyncio.run(process_best_of_n(4, "target")(models, "2+2?", RSDSettings()))
    assert outcome.usage.reward == TokenUsage(prompt=28)
    assert outcome.usage.target == TokenUsage(prompt=40, completion=12)
    assert (outcome.usage.draft, outcome.steps[0].author) == (TokenUsage(), "target")


def test_what_is_no_answer_is_refused() -> None:
    """Of a model that writes too few candidates, or a reward that scores too few."""

    class Few:
        name = "few"

        async def generate(self, *_: Any, **__: Any) -> list[Generation]:
            return [step("a")]

        async def score(self, *_: Any) -> list[Score]:
            return [Score(0.5)]

    with pytest.raises(ModelError, match=r"few returned .*, expected a list of 2 Generations"):
        solve(process_best_of_n(2), Few(), ScriptedReward([0.5]))
    with pytest.raises(RewardError, match=r"few returned .*, expected a list of 2 Scores for 2 candidates"):
        solve(process_best_of_n(2), lambda *_: step("a"), Few())


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: process_best_of_n(0), "n must"),
        (lambda: process_best_of_n(2, "reward"), "model must"),  # type: ignore[arg-type]
        (lambda: beam(0), "width must"),
        (lambda: beam(2, True), "expand must"),
        (lambda: beam(2, 2, "prm"), "model must"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_sampled_is_named(make: Callable[[], Strategy], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        make()
