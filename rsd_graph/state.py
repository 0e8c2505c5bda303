"""What flows through the graph: the state of a run, and the records it holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal
from uuid import uuid4

from langchain_core.messages import AnyMessage, BaseMessage
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from typing_extensions import TypedDict

from rsd_graph.channels import GROWING, Chosen, Packed, Pending, Said, Watched
from rsd_graph.settings import RSDSettings

Author = Literal["draft", "target", "tool"]
Finish = Literal["delimiter", "eos", "length"]
"""How a generation ended: at the step delimiter, at the end of the model's text, or at a token limit."""

Stop = Literal["eos", "max_steps", "max_tokens", "context_overflow", "no_progress", "stopped"]
"""Why a run ended.

- `eos`: the model ended its text; the usual case.
- `max_steps`, `max_tokens`: the run reached a limit set in its settings.
- `context_overflow`: the next prompt no longer fits a model's context.
- `no_progress`: draft and target both proposed nothing but white space, for `MAX_BLANK_STEPS` steps in a row.
- `stopped`: a person ended it in a review.
"""

MAX_BLANK_STEPS = 10
"""Blank steps in a row that end a run. Up to there the models are shown each blank step, and may write on after it."""


GATE_REWARD = 1.0
"""What stands for the reward of a step that a gate lets pass, when the graph decides."""


def _storable(text: str) -> str:
    text.encode()  # a ValueError where there is an unpaired surrogate
    return str(text)  # NumPy's strings are a subclass


Count = Annotated[int, Field(strict=True, ge=0)]
Text = Annotated[str, Field(strict=True), AfterValidator(_storable)]
"""Text that a checkpoint can hold: without unpaired surrogates."""
Reward = Annotated[float, Field(strict=True, ge=0, le=1)]


def _known(usage: object) -> object:
    """Usage that a backend leaves out, or reports as null, counts nothing."""
    return {} if usage is None else usage


def _plain(number: Any) -> Any:
    """NumPy's and torch's numbers as Python's own, the only ones that every checkpointer can write."""
    return number.item() if getattr(number, "ndim", None) == 0 else number


def _set_plain(record: object, *names: str) -> None:
    for name in names:
        value = getattr(record, name)
        if type(value) not in (int, float):
            object.__setattr__(record, name, _plain(value))  # a frozen record, while it is made


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens that one model read and wrote; all of them 0 if the backend does not report them."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    prompt: Count = 0
    """Prompt tokens sent, including those in `cached`."""
    cached: Count = 0
    """Prompt tokens that the server found in its prefix cache and did not compute again."""
    completion: Count = 0
    """Tokens written."""

    def __post_init__(self) -> None:
        if not (type(self.prompt) is type(self.cached) is type(self.completion) is int):
            _set_plain(self, "prompt", "cached", "completion")

    @property
    def computed(self) -> int:
        """Tokens that went through the model: prompt tokens not cached, and the completion."""
        return self.prompt - self.cached + self.completion

    def __add__(self, other: TokenUsage) -> TokenUsage:
        return TokenUsage(self.prompt + other.prompt, self.cached + other.cached, self.completion + other.completion)


Tokens = Annotated[TokenUsage, BeforeValidator(_known)]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a whole run, by role."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    draft: Tokens = field(default_factory=TokenUsage)
    target: Tokens = field(default_factory=TokenUsage)
    reward: Tokens = field(default_factory=TokenUsage)
    discarded: Count = 0
    """Tokens written and then discarded; the completions of their model include them. They are the draft's, and with
    wrappers of `rsd_graph.latency` the target's too."""
    question: Count = 0
    """Prompt tokens of the bare conversation, before any step: what a single model would have read once."""
    response: Count = 0
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

    __pydantic_config__ = ConfigDict(extra="forbid")

    text: Text
    """The step without the delimiter that ended it."""
    finish: Finish
    usage: Tokens = field(default_factory=TokenUsage)
    logprobs: tuple[Annotated[float, Field(strict=True)], ...] | None = None
    """Natural logarithm of each generated token's probability; None if the backend does not report it."""
    given_up: bool = False
    """Whether the model stopped in the middle of the step, because it could no longer be kept: it never is. Its reward
    is the highest that the whole step could have had."""

    def __post_init__(self) -> None:
        if self.usage is None:
            object.__setattr__(self, "usage", TokenUsage())
        given: Any = self.logprobs
        given = given.tolist() if hasattr(given, "tolist") else given
        if isinstance(given, Iterable) and not isinstance(
            given, str | bytes | Mapping
        ):  # a checkpoint makes a list of it
            object.__setattr__(self, "logprobs", tuple(map(_plain, given)))


@dataclass(frozen=True, slots=True)
class Score:
    """A reward model's verdict on one candidate step."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    reward: Reward
    """In [0, 1]; higher is better."""
    usage: Tokens = field(default_factory=TokenUsage)
    gated: bool = False
    """Whether a gate let the step pass unscored (`rsd_graph.latency.gate`): the reward is then `GATE_REWARD`, for the
    decision alone, and the step has none."""

    def __post_init__(self) -> None:
        _set_plain(self, "reward")
        if self.usage is None:
            object.__setattr__(self, "usage", TokenUsage())


@dataclass(frozen=True, slots=True)
class Step:
    """One kept reasoning step."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    text: Text
    author: Author
    reward: Reward | None = None
    """Reward of the *draft's* proposal for this step, even if the target then rewrote it; None if it was not scored: it
    was blank, or, if it was kept, a gate let it pass."""
    finish: Finish = "delimiter"
    tokens: Count = 0
    """Tokens that its author wrote for it; 0 if the backend does not report them, or a person wrote it anew."""
    edited: bool = False
    """Whether a person has changed what its author wrote, in a review."""

    def __post_init__(self) -> None:
        _set_plain(self, "reward", "tokens")


def bare(record: Generation | Score | TokenUsage) -> dict[str, Any]:
    """Its fields, to be checked. `asdict` would copy each log-probability."""
    values = {name: getattr(record, name) for name in record.__dataclass_fields__}
    return {name: bare(value) if isinstance(value, TokenUsage) else value for name, value in values.items()}


BYTES_PER_TOKEN = 4
"""How long a token is taken to be where a model reports no count: about what English text comes to."""


def counted(reported: int, text: str) -> int:
    """The tokens of a text: as many as its model reports, else estimated by its length."""
    return reported or -(-len(text.encode()) // BYTES_PER_TOKEN)


def join_steps(steps: Sequence[Step], delimiter: str) -> str:
    """The response made of these steps: joined by the delimiter, except after a step cut by a token limit."""
    return prefix(steps, delimiter).removesuffix(after(steps, len(steps) - 1, delimiter) if steps else "")


def prefix(steps: Sequence[Step], delimiter: str) -> str:
    """The text a model has to continue: every kept step followed by the delimiter, unless a token limit cut it.

    The output of code stands between the step with the code and the next one without any.
    """
    return "".join(step.text + after(steps, index, delimiter) for index, step in enumerate(steps))


def after(steps: Sequence[Step], index: int, delimiter: str) -> str:
    """What parts the step of this index from what follows it."""
    is_joined = steps[index].finish == "length" or steps[index].author == "tool"
    is_answered = index + 1 < len(steps) and steps[index + 1].author == "tool"
    return "" if is_joined or is_answered else delimiter


class Counted(Packed[Usage]):
    """Holds the usage. Checkpoints store its numbers alone."""

    @staticmethod
    def pack(value: Usage) -> Any:
        """See `Packed`."""
        roles = [(role.prompt, role.cached, role.completion) for role in (value.draft, value.target, value.reward)]
        return [*roles, value.discarded, value.question, value.response]

    @staticmethod
    def unpack(stored: Any) -> Usage:
        """See `Packed`."""
        if isinstance(stored, Usage):
            return stored
        draft, target, reward, *counts = stored
        return Usage(TokenUsage(*draft), TokenUsage(*target), TokenUsage(*reward), *counts)


class RSDProblem(TypedDict):
    """What every input must hold, unless it is `RSDMessages`."""

    problem: Annotated[str, Pending]
    """The question to answer. Passing it starts a new run, even on a thread that holds an earlier one."""


class RSDInput(RSDProblem, total=False):  # `NotRequired` is lost where annotations are strings
    """The input of a run: `problem`, with `history` if there is any; or `messages`."""

    history: Annotated[list[AnyMessage], Pending]
    """Earlier messages of the conversation, oldest first; none by default."""
    messages: Annotated[list[AnyMessage], Pending]
    """A conversation in place of both: the last human message is the problem, those before it are the history."""


class RSDMessages(TypedDict):
    """The input of a run in LangChain's own shape."""

    messages: list[AnyMessage]


class Decision(TypedDict):
    """What the graph makes of the newest proposal, for those who watch."""

    step: int
    """Index of the step, counted from 0."""
    author: Author
    proposal: str
    reward: float | None
    """Of the draft's proposal; None before it is scored."""
    threshold: float
    accepted: bool | None
    """Whether the draft's proposal is kept; None before it is scored."""
    why: str


class RSDOutput(TypedDict):
    """The output of a run."""

    response: Annotated[str, GROWING]
    """The kept steps, joined by the delimiter."""
    answer: str | None
    """The final answer, extracted from the response; None if there is none."""
    steps: Annotated[list[Step], GROWING]
    stop: Stop | None
    """Why the run ended; None while it is in progress."""
    usage: Annotated[Usage, Counted]
    messages: Annotated[list[AnyMessage], Pending]
    """The input's messages, if it brought any, and at the end of the run the response as one `AIMessage`."""


class RSDWatched(RSDOutput, total=False):
    """What those see who watch a run: its output as it grows, and what becomes of each proposal."""

    decision: Annotated[Decision, Watched]
    """What the node that has just run makes of the newest proposal, and why. No checkpoint holds it."""


class RSDState(RSDInput, RSDWatched):  # type: ignore[misc]  # `messages` are in both
    """Everything that passes between the nodes."""

    settings: Annotated[RSDSettings, Chosen]
    """The settings of the run so far; a run resumed without a context uses them again."""
    conversation: Annotated[list[BaseMessage], Said]
    """The messages that the response answers: system prompt, history and problem."""
    message_id: str
    """Of the message that the response becomes; what `stream_mode="messages"` yields carries it."""
    proposal: Annotated[Generation | None, GROWING]
    """The candidate for the next step: the draft's, or the target's replacement for it."""
    author: Author
    """Who wrote `proposal`."""
    reward: Reward | None
    """Reward of the draft's proposal; None if it was not scored."""
    shown: int
    """Characters of the response that were shown while the target wrote `proposal`; missing where there were none."""
    gated: bool
    """Whether `reward` is only what a gate said; missing in runs without a gate."""
    code: str | None
    """The code that the newest step asks to run; missing in runs without tools."""
    output: str | None
    """What the proposal's code printed, if it ran before the reward; missing in runs where none does."""
    rejected: Generation | None
    """The draft's step that the target has rewritten. This key and those below are missing in runs without review."""
    target_reward: Reward | None
    """Reward of what the target wrote; None if it was not scored."""
    chosen: bool | None
    """Whether a person has chosen `proposal`: it is kept, whatever its reward."""
    edited: bool | None
    """Whether a person has changed the text of `proposal`."""
    redraw: int | None
    """Seed with which the step is drawn again."""


def passed_gate(state: RSDState) -> bool:
    """Whether nobody has scored the proposal. An edit that gives it another reward has."""
    return state.get("gated", False) and state["reward"] == GATE_REWARD


def no_steps() -> dict[str, Any]:
    """The state of a run without steps; it replaces whatever an earlier run left on the thread."""
    return {
        "steps": [],
        "response": "",
        "answer": None,
        "stop": None,
        "usage": Usage(),
        "message_id": new_message_id(),
    }


def new_message_id() -> str:
    """An id that no other message has."""
    return f"rsd-{uuid4()}"
