"""The target as the judge of the draft's steps, by one digit: how SpecReason decides (arXiv 2504.07891)."""

import re
from collections.abc import Sequence

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from rsd_graph.control_tokens import neutralize
from rsd_graph.errors import ModelError
from rsd_graph.protocols import StepGenerator
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Generation, Score, Step, prefix

HIGHEST = 9
QUESTION = """\
Rate the last step of your solution so far. Look only at whether what it says is correct and follows from the problem \
and the steps before it; its style, and how much it helps, do not matter. Answer with one digit, from 0 for certainly \
wrong to 9 for certainly right."""
BEGUN = "The rating is \\boxed{"
"""The answer begins with this, so that its next token is the digit: no tokenizer joins a bracket and a digit, as some
join a space and a digit. A chat template that opens a model's thoughts does no harm either."""


class DigitReward:
    """Asks the target, in its own conversation, for the newest step's rating from 0 to 9: the reward is a ninth of it.

    One token is written. An answer that does not begin with a digit counts as 0.

    Args:
        target: Writes the rating; its prompt is the one after which it would write the next step, and then a question.
        settings: Of the run: the delimiter of steps, and whether control tokens in them are neutralized.
    """

    needs_logprobs = False
    """It reads the steps' texts; see `protocols.needs_logprobs`."""

    def __init__(self, target: StepGenerator, settings: RSDSettings) -> None:
        self.name = target.name
        self._target = target
        self._delimiter = settings.delimiter
        self._clean = neutralize if settings.neutralize_control_tokens else str
        self._settings = settings.model_copy(update={"temperature": 0.0, "top_p": 1.0, "max_step_tokens": 1})

    async def score(
        self, messages: Sequence[BaseMessage], steps: Sequence[Step], candidates: Sequence[Generation]
    ) -> list[Score]:
        """See `RewardModel.score`. The usage is the target's."""
        before = prefix(steps, self._delimiter)
        return [await self._rated(messages, before + candidate.text) for candidate in candidates]

    async def _rated(self, messages: Sequence[BaseMessage], solution: str) -> Score:
        asked = [*messages, AIMessage(self._clean(solution)), HumanMessage(QUESTION)]
        match await self._target.generate(asked, BEGUN, settings=self._settings):
            case [Generation() as said]:
                digit = re.match(r"\s*([0-9])", said.text)
                return Score(int(digit[1]) / HIGHEST if digit else 0.0, said.usage)
            case other:
                raise ModelError(f"{self.name} returned {other!r:.200}, expected a list of one Generation")
