import asyncio
from collections.abc import Sequence

from rsd_graph import Generation, RSDSettings, Step, TokenUsage
from rsd_graph.errors import ContextOverflowError
from rsd_graph.strategies.best_of_n import best_of_n
from rsd_graph.strategies.outcome import Models, Outcome
from rsd_graph.testing import ScriptedModel, ScriptedReward


def solve(rewards: dict[str, float | Exception], n: int = 3) -> Outcome:
    """Of n solutions of one step each: a, b, c and so on."""
    draft = ScriptedModel([Generation(text, "eos", TokenUsage(10, 0, 2)) for text in "abcdef"])

    def reward(_: Sequence[Step], candidate: Generation) -> float:
        given = rewards[candidate.text]
        if isinstance(given, Exception):
            raise given
        return given

    return asyncio.run(best_of_n(n)(Models(draft, draft, ScriptedReward(reward)), "2+2?", RSDSettings()))


def test_the_solution_with_the_highest_reward_wins() -> None:
    """Of equal ones, the first; the others are counted as discarded."""
    assert solve({"a": 0.2, "b": 0.9, "c": 0.9}).response == "b"
    usage = solve({"a": 0.2, "b": 0.9, "c": 0.9}).usage
    assert (usage.draft, usage.discarded, usage.response) == (TokenUsage(30, 0, 6), 4, 2)


def test_a_solution_too_long_for_the_reward_ranks_last() -> None:
    """It wins only if all are."""
    assert solve({"a": ContextOverflowError("too long"), "b": 0.0}, 2).response == "b"
    too_long = solve(dict.fromkeys("ab", ContextOverflowError("too long")), 2)
    assert (too_long.response, too_long.stop) == ("a", "eos")
