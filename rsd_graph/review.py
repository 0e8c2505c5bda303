"""Review of a step by a person: when a run pauses, what it shows, and what may be answered.

A pause is LangGraph's `interrupt`, whose value is a `Question`. The run goes on when the graph is called with
`Command(resume=answer)` on the same thread, and `answer` is a dict of an `Answer`'s fields, or an action alone:
`Command(resume="accept")`.
"""

from typing import Any, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from typing_extensions import TypedDict

from rsd_graph.budget import in_force
from rsd_graph.errors import describe
from rsd_graph.settings import SAMPLED, RSDSettings
from rsd_graph.state import Generation, RSDState, prefix

Action = Literal["accept", "draft", "edit", "redraw", "stop"]
Reason = Literal["every_step", "rejected", "low_reward"]


class Shown(TypedDict):
    """A step under review."""

    text: str
    reward: float | None
    """In [0, 1]; None if it was not scored."""


class Question(TypedDict):
    """What a paused run shows, and asks: plain values, so that any front end can show them."""

    kind: Literal["review"]
    step: int
    """Index of the step, counted from 0."""
    reason: Reason
    """Every step is reviewed; or the draft's was rejected; or the target's scores below `interrupt_below`."""
    threshold: float
    draft: Shown | None
    """The draft's step."""
    target: Shown | None
    """What the target wrote in its place; None if the draft's was accepted."""
    conversation: list[dict[str, str]]
    """Messages that the response answers, each with `type` and `content`."""
    response: str
    """The steps kept so far, each followed by the delimiter."""
    actions: list[Action]
    """Those that can be taken here."""
    error: NotRequired[str]
    """What was wrong with the answer before this one."""


class Answer(BaseModel):
    """What to do with the step."""

    model_config = ConfigDict(extra="forbid")

    action: Action = Field(
        description="accept: keep the step as it is. draft: keep the draft's step, not the target's. edit: keep `text` "
        "in its place. redraw: have its author write it again with another seed. stop: end the run before it."
    )
    text: str | None = Field(default=None, description="The step as it is to be; only with `edit`.")
    seed: int | None = Field(
        default=None, ge=0, lt=2**31, description="Seed of the new step; only with `redraw`. By default the next one."
    )

    @model_validator(mode="after")
    def _complete(self) -> "Answer":
        if self.action == "edit" and not (self.text and self.text.strip()):
            raise ValueError("`edit` needs `text`: the step as it is to be")
        if self.action != "edit" and self.text is not None:
            raise ValueError("`text` goes with `edit`")
        if self.action != "redraw" and self.seed is not None:
            raise ValueError("`seed` goes with `redraw`")
        return self


def may_pause(settings: RSDSettings) -> bool:
    """Whether a run with these settings may pause for a review."""
    return settings.review != "off" or settings.interrupt_below is not None


def is_scored_again(state: RSDState, settings: RSDSettings) -> bool:
    """Whether the proposal is the target's, and is scored too, for a review."""
    return state["author"] == "target" and may_pause(settings) and _says_something(state)


def reason(state: RSDState, settings: RSDSettings) -> Reason | None:
    """Why the run pauses before it keeps the proposal; None if it does not."""
    if not _says_something(state):
        return None
    if state["author"] == "draft":
        return "every_step" if settings.review == "all" else None
    if settings.review != "off":
        return "rejected"
    reward, bound = state.get("target_reward"), settings.interrupt_below
    return "low_reward" if bound is not None and reward is not None and reward < bound else None


def _says_something(state: RSDState) -> bool:
    proposal = state["proposal"]
    return not state["stop"] and proposal is not None and bool(proposal.text.strip())


def question(state: RSDState, settings: RSDSettings) -> Question:
    """What the run asks about its proposal."""
    proposal, by_target = state["proposal"], state["author"] == "target"
    drafted = state.get("rejected") if by_target else proposal
    why = reason(state, settings)
    assert proposal is not None  # noqa: S101  # else the edge does not lead here
    assert why is not None  # noqa: S101
    actions: list[Action] = ["accept", "draft", "edit", "redraw", "stop"]
    return {
        "kind": "review",
        "step": len(state["steps"]),
        "reason": why,
        "threshold": in_force(settings, state["steps"]).threshold,
        "draft": _shown(drafted, state["reward"]),
        "target": _shown(proposal, state.get("target_reward")) if by_target else None,
        "conversation": [{"type": message.type, "content": message.text} for message in state["conversation"]],
        "response": prefix(state["steps"], settings.delimiter),
        "actions": [action for action in actions if action != "draft" or (by_target and drafted and drafted.text)],
    }


def _shown(generation: Generation | None, reward: float | None) -> Shown | None:
    return None if generation is None else {"text": generation.text, "reward": reward}


def read_answer(given: Any, asked: Question) -> Answer:
    """The answer to a question.

    Raises:
        ValueError: it is none; the message says why.
    """
    try:
        answer = Answer.model_validate({"action": given} if isinstance(given, str) else given)
    except ValidationError as error:
        raise ValueError(describe(error)) from error
    if answer.action not in asked["actions"]:
        raise ValueError(f"`{answer.action}` cannot be done here: choose one of {', '.join(asked['actions'])}")
    return answer


def drawn_again(settings: RSDSettings, seed: int | None) -> RSDSettings:
    """The settings for a step that a review has drawn again with this seed; those of the run if it has not.

    A step of a greedy run is sampled: greedy, it would come out the same.
    """
    if seed is None:
        return settings
    return settings.model_copy(update={"seed": seed, **(SAMPLED if settings.temperature == 0 else {})})
