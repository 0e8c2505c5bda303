"""What every strategy takes and returns."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from typing_extensions import TypedDict

from rsd_graph.costs import Parameters
from rsd_graph.events import RSDEvent
from rsd_graph.protocols import RewardModel, StepGenerator
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Step, Stop, Usage


@dataclass(frozen=True, slots=True)
class Models:
    """The models that every strategy chooses from."""

    draft: StepGenerator
    target: StepGenerator
    reward: RewardModel
    faster: tuple[StepGenerator, StepGenerator, RewardModel] | None = None
    """All three in the wrappers that `[latency]` asks for: what RSD runs on. By default, the three as they are."""
    parameters: Parameters | None = None
    """The models' sizes, if all are known."""

    @property
    def for_rsd(self) -> tuple[StepGenerator, StepGenerator, RewardModel]:
        """Draft, target and reward, as the graph takes them."""
        return self.faster or (self.draft, self.target, self.reward)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The solution that a strategy settles on, and what it cost."""

    response: str
    answer: str | None
    """The final answer; None if the response has none."""
    steps: Sequence[Step]
    stop: Stop
    """Why the response ended."""
    usage: Usage
    """Tokens of all models, for everything that they read and wrote: candidates that were not chosen too."""
    answers: Sequence[str | None] = ()
    """The final answers of all candidates, where there were several."""
    shadow: Mapping[int, float] = field(default_factory=dict)
    """The rewards of steps that the target wrote, by their numbers, if they were asked for: see `strategies.shadow`."""


class Candidate(TypedDict):
    """One of several candidates: for a whole solution, or for step `step` (counted from 0)."""

    event: Literal["candidate"]
    step: int | None
    number: int
    """Counted from 0."""
    text: str
    answer: str | None
    """Of a whole solution."""
    reward: float | None
    """None where nothing is scored."""
    chosen: bool


Watch = Callable[[RSDEvent | Candidate], Awaitable[None]]
"""Is told what happens, as it happens."""


async def nobody(_: RSDEvent | Candidate) -> None:
    """Nobody watches."""


class Strategy(Protocol):
    """A way to solve a problem with these models."""

    async def __call__(self, models: Models, problem: str, settings: RSDSettings, watch: Watch = nobody) -> Outcome:
        """Solve the problem.

        Args:
            models: What may be used.
            problem: The question.
            settings: Limits, sampling and system prompt; the same settings and seed give the same outcome, as far as
                the models repeat themselves.
            watch: Is told what happens.

        Raises:
            RSDError: a model or the reward could not answer.
        """
        ...
