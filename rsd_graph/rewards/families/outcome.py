"""An outcome reward model, or any sequence classifier with one or two labels, on the solution so far.

The problem is a user's turn and all steps together are the assistant's; the head is read at the conversation's last
token, as `AutoModelForSequenceClassification` reads it. Such models score whole answers; their score of an
unfinished one is a guess.

Its number has no range of its own. The mapping into [0, 1]:

- one label: `sigmoid((logit - centre) / scale)`. Centre and scale belong to the model: a solution at `centre` has a
  reward of 0.5, and one `scale` above it 0.73. The defaults, 0 and 1, suit a Bradley-Terry model whose rewards are
  around 0.
- two labels: the softmax probability of the second.
"""

from collections.abc import Sequence

from rsd_graph.acceptance import sigmoid
from rsd_graph.errors import RewardError
from rsd_graph.protocols import ScoringBackend
from rsd_graph.rewards.family import Family
from rsd_graph.state import Score

DELIMITER = "\n\n"
"""Joins the steps."""


async def outcome(
    backend: ScoringBackend, problem: str, steps: Sequence[str], *, centre: float = 0.0, scale: float = 1.0
) -> Score:
    """Score the solution so far.

    Args:
        backend: Where the model runs.
        problem: The problem's text.
        steps: The steps' texts; all of them are scored as one answer.
        centre: The logit at which the reward is 0.5.
        scale: Distance in logits from there to a reward of 0.73; more than 0.
    """
    conversation = await backend.chat(
        [
            {"role": "user", "content": problem},
            {"role": "assistant", "content": DELIMITER.join(steps)},
        ],
        generation_prompt=False,
    )
    reading = await backend.head(conversation)
    match reading.values:
        case [logit]:
            return Score(sigmoid((logit - centre) / scale), reading.usage)
        case [bad, good]:
            return Score(sigmoid(good - bad), reading.usage)
    raise RewardError(f"{backend.name} has {len(reading.values)} labels; a reward needs one or two")


OUTCOME = Family(score=outcome, options=("centre", "scale"))
