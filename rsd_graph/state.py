"""What flows through the graph: the run's state and the records in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, NotRequired

from langchain_core.messages import AnyMessage, BaseMessage
from langgraph.channels import EphemeralValue
from typing_extensions import TypedDict

from rsd_graph.settings import RSDSettings

Author = Literal["draft", "target", "tool"]
Finish = Literal["delimiter", "eos", "length"]
"""How a generation ended: at the step delimiter, at the model's end of text, or at a token limit."""

Stop = Literal["eos", "max_steps", "max_tokens", "context_overflow", "no_progress"]
"""Why a run ended.

- `eos`: the model ended its text, the usual way.
- `max_steps`, `max_tokens`: a limit of the settings.
- `context_overflow`: the next prompt no longer fits a model's context.
- `no_progress`: draft and target both had nothing to say but white space.
"""


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens that one model read and wrote."""

    prompt: int = 0
    """Prompt tokens sent, those in `cached` included."""
    cached: int = 0
    """Prompt tokens that the server had in its prefix cache and did not compute again."""
    completion: int = 0
    """Tokens written."""

    @property
    def computed(self) -> int:
        """Tokens that went through the model: prompt tokens not cached, and the completion."""
        return self.prompt - self.cached + self.completion

    def __add__(self, other: TokenUsage) -> TokenUsage:
        return TokenUsage(self.prompt + other.prompt, self.cached + other.cached, self.completion + other.completion)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a whole run, by role."""

    draft: TokenUsage = field(default_factory=TokenUsage)
    target: TokenUsage = field(default_factory=TokenUsage)
    reward: TokenUsage = field(default_factory=TokenUsage)
    discarded: int = 0
    """Draft tokens written and thrown away; they are part of `draft.completion`."""
    question: int = 0
    """Prompt tokens of the bare conversation, before any step: what a single model would have read once."""
    response: int = 0
    """Tokens of the kept steps: what a single model would have written."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.draft + other.draft,
            self.target + other.target,
            self.reward + other.reward,
            self.discarded + other.discarded,
            self.question + other.question,
            self.response + other.response,
        )


@dataclass(frozen=True, slots=True)
class Generation:
    """One step, as a model proposes it."""

    text: str
    """The step without the delimiter that ended it."""
    finish: Finish
    usage: TokenUsage = field(default_factory=TokenUsage)
    logprobs: tuple[float, ...] | None = None
    """Natural logarithm of each generated token's probability under the model, or None where the backend has none."""


@dataclass(frozen=True, slots=True)
class Score:
    """A reward model's verdict on one candidate step."""

    reward: float
    """In [0, 1]; higher is better."""
    usage: TokenUsage = field(default_factory=TokenUsage)


@dataclass(frozen=True, slots=True)
class Step:
    """One kept reasoning step."""

    text: str
    author: Author
    reward: float | None = None
    """Reward of the *draft's* proposal for this step, also where the target then rewrote it; None if it was not
    scored."""
    finish: Finish = "delimiter"
    tokens: int = 0
    """Tokens that its author wrote for it; 0 where the backend does not say."""


def join_steps(steps: Sequence[Step], delimiter: str) -> str:
    """The response that these steps make: joined by the delimiter, except behind a step that a token limit cut."""
    return prefix(steps, delimiter).removesuffix(delimiter if steps and steps[-1].finish != "length" else "")


def prefix(steps: Sequence[Step], delimiter: str) -> str:
    """What a model has to continue: every kept step followed by the delimiter, unless a token limit cut it."""
    return "".join(step.text if step.finish == "length" else step.text + delimiter for step in steps)


class RSDInput(TypedDict):
    """What a caller passes in."""

    problem: Annotated[str, EphemeralValue]
    """The question to answer. Its arrival starts a new run, also on a thread that holds an earlier one."""
    history: NotRequired[Annotated[list[AnyMessage], EphemeralValue]]
    """Earlier messages of the conversation, oldest first; none by default."""


class RSDOutput(TypedDict):
    """What a caller gets back."""

    response: str
    """The kept steps, joined by the delimiter."""
    answer: str | None
    """The final answer, extracted from the response; None if there is none."""
    steps: list[Step]
    stop: Stop | None
    """Why the run ended; None while it is under way."""
    usage: Usage


class RSDState(RSDInput, RSDOutput):
    """Everything between the nodes."""

    settings: RSDSettings
    """The settings that the latest node ran with; a run that is resumed without a context goes on with them."""
    conversation: list[BaseMessage]
    """The messages that the response answers: system prompt, history, problem."""
    proposal: Generation | None
    """The candidate for the next step: the draft's, or the target's once it has rewritten it."""
    author: Author
    """Who wrote `proposal`."""
    reward: float | None
    """Reward of the draft's proposal."""
