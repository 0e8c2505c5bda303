"""An outcome reward model, or any sequence classifier with one or two labels, on the solution so far.

The problem is a user's turn and all steps together are the assistant's; the head is read at the conversation's last
token, as `AutoModelForSequenceClassification` reads it. Such models score whole answers: what one says of an unfinished
one is a guess.

Its number has no range of its own. The mapping into [0, 1]:

- one label: `sigmoid((logit - centre) / scale)`. Centre and scale belong to the model: a solution at `centre` is worth
  0.5, and one `scale` above it 0.73. The defaults, 0 and 1, suit a Bradley-Terry model whose rewards lie around 0.
- two labels: the softmax probability of the second.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rsd_graph.acceptance import sigmoid
from rsd_graph.errors import RewardError
from rsd_graph.protocols import ScoringBackend
from rsd_graph.state import Score


@dataclass(frozen=True, slots=True)
class Outcome:
    """The recipe of a sequence classifier.

    Args:
        centre: Logit that maps to a reward of 0.5.
        scale: Distance in logits from there to a reward of 0.73; more than 0.
        delimiter: Joins the steps.
    """

    centre: float = 0.0
    scale: float = 1.0
    delimiter: str = "\n\n"

    async def __call__(self, engine: ScoringBackend, problem: str, steps: Sequence[str]) -> Score:
        """Score the solution so far."""
        conversation = await engine.chat(
            [
                {"role": "user", "content": problem},
                {"role": "assistant", "content": self.delimiter.join(steps)},
            ],
            generation_prompt=False,
        )
        reading = await engine.head(conversation)
        match reading.values:
            case [logit]:
                return Score(sigmoid((logit - self.centre) / self.scale), reading.usage)
            case [bad, good]:
                return Score(sigmoid(good - bad), reading.usage)
        raise RewardError(f"{engine.name} has {len(reading.values)} labels; a reward needs one or two")
