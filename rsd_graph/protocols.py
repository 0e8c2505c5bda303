"""The interfaces between the graph, the rewards and the runtimes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, Protocol

from langchain_core.messages import BaseMessage
from typing_extensions import TypedDict

from rsd_graph.settings import RSDSettings
from rsd_graph.state import Generation, Score, Step, TokenUsage


class Lifecycle(Protocol):
    """Something that holds connections, processes or memory, and therefore is started and closed."""

    async def start(self) -> None:
        """Load what runs in this process now, rather than with the first call; nothing for a server elsewhere."""
        ...

    async def aclose(self) -> None:
        """Release connections, processes and memory."""
        ...


class Named(Protocol):
    """A model or reward, as far as its name matters."""

    @property
    def name(self) -> str:
        """What to call it in messages and tables."""
        ...


class StepGenerator(Protocol):
    """Continues a partial response by one step."""

    @property
    def name(self) -> str:
        """What to call it in messages and tables."""
        ...

    async def generate(
        self, messages: Sequence[BaseMessage], response: str, *, settings: RSDSettings, n: int = 1
    ) -> list[Generation]:
        """Propose the next step `n` times.

        Args:
            messages: The conversation that the response answers; its last message is the problem.
            response: The response so far, exactly: every kept step followed by the delimiter, or empty. The model must
                see its own chat template's rendering of `messages` followed by these characters, none trimmed.
            settings: Of this call: `max_step_tokens` is what this step may take, `seed` is this step's own.
            n: How many independent candidates to return.

        Returns:
            `n` generations, each up to the delimiter, the end of text or `settings.max_step_tokens`.

        Raises:
            ContextOverflowError: `messages` and `response` do not fit the model's context.
            ModelError: the model could not answer.
        """
        ...


logprobs_wanted: ContextVar[bool] = ContextVar("logprobs_wanted", default=True)
"""Whether somebody will read the log-probabilities of what is generated in this context; a model may omit them if not:
a server spends time on them, and they are most of its answer."""


Hopeless = Callable[[Sequence[float]], bool]
"""Takes the log-probabilities of a step's tokens so far; says whether the step can no longer be kept."""

hopeless: ContextVar[Hopeless | None] = ContextVar("hopeless", default=None)
"""A model that streams may ask it after each token, and stop there: the rest of the step would be thrown away."""


_further_stops: ContextVar[tuple[str, ...]] = ContextVar("further_stops", default=())

control_tokens_shown: ContextVar[bool] = ContextVar("control_tokens_shown", default=False)
"""Whether control tokens belong to the text that a model returns: some formats mark code with them."""


@contextmanager
def stopping_at(stops: Sequence[str], *, show_control_tokens: bool = False) -> Iterator[None]:
    """Let the models that are called in this block stop at these texts too."""
    stopping, shown = _further_stops.set(tuple(stops)), control_tokens_shown.set(show_control_tokens)
    try:
        yield
    finally:
        _further_stops.reset(stopping)
        control_tokens_shown.reset(shown)


def stop_texts(delimiter: str) -> list[str]:
    """The texts at which a model stops: the step delimiter, and those of `stopping_at`.

    A step ends at each of them as at the delimiter, without the text. A model that knows only the delimiter writes on,
    and what is too much is cut off.
    """
    return [delimiter, *_further_stops.get()]


@contextmanager
def generating(*, logprobs: bool, stop_if: Hopeless | None = None) -> Iterator[None]:
    """Tell the models that are called in this block what becomes of their steps.

    Args:
        logprobs: Whether their log-probabilities will be read.
        stop_if: Whether a step is lost already; None if that cannot be known before its end.
    """
    wanted, lost = logprobs_wanted.set(logprobs), hopeless.set(stop_if)
    try:
        yield
    finally:
        logprobs_wanted.reset(wanted)
        hopeless.reset(lost)


def needs_logprobs(reward: object) -> bool:
    """Whether the reward reads the draft's log-probabilities: its attribute `needs_logprobs`, or True without one."""
    return bool(getattr(reward, "needs_logprobs", True))


Bound = Callable[[Sequence[float]], float]
"""The highest reward in [0, 1] that a step can get whose first tokens have these log-probabilities."""


def highest_reward(reward: object) -> Bound | None:
    """The reward's method `highest_reward`, a `Bound`; None without one.

    A reward may have it if it can only fall while a step is being written, as the draft's confidence does.
    """
    return getattr(reward, "highest_reward", None)


class RewardModel(Protocol):
    """Scores candidate next steps: a process reward model (PRM)."""

    @property
    def name(self) -> str:
        """What to call it in messages and tables."""
        ...

    async def score(
        self, messages: Sequence[BaseMessage], steps: Sequence[Step], candidates: Sequence[Generation]
    ) -> list[Score]:
        """Score each candidate as the step that follows `steps`.

        Args:
            messages: The conversation that the response answers; its last message is the problem.
            steps: The steps kept so far.
            candidates: Alternatives for the next step.

        Returns:
            One score per candidate, in their order, each reward in [0, 1].

        Raises:
            RewardError: no reward could be read.
            ModelError: the reward model could not answer.
        """
        ...


class Turn(TypedDict):
    """One message of a chat, as chat templates take it."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What a model says at the last token of a prompt."""

    values: tuple[float, ...]
    """Logits of its reward head, or natural logarithms of label tokens' probabilities."""
    usage: TokenUsage = field(default_factory=TokenUsage)


class ScoringBackend(Lifecycle, Protocol):
    """Runs a reward model's forward pass, wherever that model is. Raises as `RewardModel.score` does."""

    @property
    def name(self) -> str:
        """What to call the model in messages."""
        ...

    async def encode(self, text: str, *, special_tokens: bool = False) -> list[int]:
        """Token ids of a text. Special tokens in it count as such; with `special_tokens` the tokenizer adds its own."""
        ...

    async def chat(self, turns: Sequence[Turn], *, generation_prompt: bool) -> list[int]:
        """Token ids of a conversation in the model's chat template, ready for its answer if `generation_prompt`."""
        ...

    async def head(self, tokens: Sequence[int]) -> Reading:
        """Logits of the reward head at the last token, before any activation."""
        ...

    async def label_logprobs(self, tokens: Sequence[int], labels: Sequence[int]) -> Reading:
        """Log-probability of each label token as the next one."""
        ...
