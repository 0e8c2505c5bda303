"""How any reward is asked about candidates for the next step, and which answers of its are refused."""

from collections.abc import Sequence
from inspect import isawaitable
from numbers import Real
from typing import Any

from langchain_core.messages import BaseMessage
from pydantic import TypeAdapter, ValidationError

from rsd_graph.errors import RewardError, describe
from rsd_graph.events import unshown
from rsd_graph.next_step import without_blanks
from rsd_graph.protocols import RewardModel, generating, needs_logprobs
from rsd_graph.state import Generation, Score, Step, bare

_score = TypeAdapter(Score)


async def verdicts(
    model: RewardModel, conversation: Sequence[BaseMessage], steps: Sequence[Step], candidates: Sequence[Generation]
) -> list[Score]:
    """Have the reward score the candidates, in one request. It sees only those steps that say something.

    Raises:
        RewardError: it did not give each candidate a reward in [0, 1].
        ContextOverflowError: a candidate does not fit its context.
        ModelError: it could not answer.
    """
    with unshown(), generating(logprobs=needs_logprobs(model)):  # a wrapper may have the draft write ahead
        scores = model.score(conversation, without_blanks(steps), candidates)
        if not isawaitable(scores):
            raise RewardError(f"{model.name}: `score` must be an `async def`; it returned {scores!r:.80}")
        return _checked(await scores, model.name, len(candidates))


def _checked(scores: object, name: str, n: int) -> list[Score]:
    given = [score for score in scores if isinstance(score, Score)] if isinstance(scores, Sequence) else []
    if not isinstance(scores, Sequence) or not len(given) == len(scores) == n:
        expected = "one Score for one candidate" if n == 1 else f"{n} Scores for {n} candidates"
        raise RewardError(f"{name} returned {scores!r:.200}, expected a list of {expected}")
    return [_in_range(score, name) for score in given]


def _in_range(score: Score, name: str) -> Score:
    if not isinstance(score.reward, Real) or not 0 <= score.reward <= 1:  # NaN fails this too
        raise RewardError(f"{name} gave the reward {score.reward!r}, expected a number in [0, 1]")
    return _plain({**bare(score), "reward": float(score.reward)}, name)


def _plain(score: dict[str, Any], name: str) -> Score:
    """The score of these fields, with nothing in it that a checkpoint could not hold."""
    try:
        return _score.validate_python(score)
    except ValidationError as error:
        raise RewardError(f"{name} returned a Score that is wrong: {describe(error)}") from error
