"""What flows through the graph: the state of a run, and the records it holds."""

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
"""How a generation ended: at the step delimiter, at the end of the model's text, or at a token limit."""

Stop = Literal["eos", "max_steps", "max_tokens", "context_overflow", "no_progress"]
"""Why a run ended.

- `eos`: the model ended its text; the usual case.
- `max_steps`, `max_tokens`: the run reached a limit set in its settings.
- `context_overflow`: the next prompt no longer fits a model's context.
- `no_progress`: draft and target both proposed nothing but white space.
"""


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens that one model read and wrote."""

    prompt: int = 0
    """Prompt tokens sent, including those in `cached`."""
    cached: int = 0
    """Prompt tokens that the server found in its prefix cache and did not compute again."""
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
    """Draft tokens written and then discarded; `draft.completion` includes them."""
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
    """One step as a model proposes it."""

    text: str
    """The step without the delimiter that ended it."""
    finish: Finish
    usage: TokenUsage = field(default_factory=TokenUsage)
    logprobs: tuple[float, ...] | None = None
    """Natural logarithm of each generated token's probability; None if the backend does not report it."""


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
    """Reward of the *draft's* proposal for this step, even if the target then rewrote it; None if it was not scored."""
    finish: Finish = "delimiter"
    tokens: int = 0
    """Tokens that its author wrote for it; 0 if the backend does not report them."""


def join_steps(steps: Sequence[Step], delimiter: str) -> str:
    """The response made of these steps: joined by the delimiter, except after a step cut by a token limit."""
    return prefix(steps, delimiter).removesuffix(delimiter if steps and steps[-1].finish != "length" else "")


def prefix(steps: Sequence[Step], delimiter: str) -> str:
    """The text a model has to continue: every kept step followed by the delimiter, unless a token limit cut it."""
    return "".join(step.text if step.finish == "length" else step.text + delimiter for step in steps)


class RSDInput(TypedDict):
    """The input of a run."""

    problem: Annotated[str, EphemeralValue]
    """The question to answer. Passing it starts a new run, even on a thread that holds an earlier one."""
    history: NotRequired[Annotated[list[AnyMessage], EphemeralValue]]
    """Earlier messages of the conversation, oldest first; none by default."""


class RSDOutput(TypedDict):
    """The output of a run."""

    response: str
    """The kept steps, joined by the delimiter."""
    answer: str | None
    """The final answer, extracted from the response; None if there is none."""
    steps: list[Step]
    stop: Stop | None
    """Why the run ended; None while it is in progress."""
    usage: Usage


class RSDState(RSDInput, RSDOutput):
    """Everything that passes between the nodes."""

    settings: RSDSettings
    """The settings of the latest node; a run resumed without a context uses them again."""
    conversation: list[BaseMessage]
    """The messages that the response answers: system prompt, history and problem."""
    proposal: Generation | None
    """The candidate for the next step: the draft's, or the target's replacement for it."""
    author: Author
    """Who wrote `proposal`."""
    reward: float | None
    """Reward of the draft's proposal; None if it was not scored."""
