"""The settings of a run: the graph's `context_schema`, which LangGraph Studio shows as a form."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

Weighting = Literal["step", "constant", "clipping", "sigmoidal", "logistic"]

MAX_STEPS_LIMIT = 10_000
"""Upper bound of `max_steps`, so that one fixed `recursion_limit` for LangGraph covers every run."""


SAMPLED = {"temperature": 0.7, "top_p": 0.8}
"""How the paper samples (arXiv 2501.19324, section 4)."""

WRITE, DECIDE, END = ("draft", "target"), ("score",), ("check",)
"""Nodes that a setting affects; Studio shows the setting beside them."""


def _affects(*nodes: Sequence[str]) -> JsonDict:
    return {"langgraph_nodes": [name for each in nodes for name in each]}


class RSDSettings(BaseModel):
    """Settings of one run. Pass them to the graph as `context=`, as an instance or as a dict.

    Raises:
        pydantic.ValidationError: a value is out of range, or a name is unknown; the message names it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: float = Field(
        default=0.7,
        ge=0,
        le=1,
        description=(
            "Reward in [0, 1] at which a draft step is kept (the paper's delta): the minimum under `step` weighting, "
            "the midpoint under `logistic`; the other weightings do not use it."
        ),
        json_schema_extra=_affects(DECIDE),
    )
    budget: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Share of steps, from 0 to 1, that the target may write. The threshold then moves from step to "
        "step so as to keep it, beginning at `threshold`. Only under `step` weighting.",
        json_schema_extra=_affects(DECIDE),
    )
    weighting: Weighting = Field(
        default="step",
        description="Function that maps a reward to the probability of acceptance (arXiv 2501.19324, table 1).",
        json_schema_extra=_affects(DECIDE),
    )
    constant: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Probability of acceptance under `constant` weighting, whatever the reward.",
        json_schema_extra=_affects(DECIDE),
    )
    alpha: float = Field(
        default=10.0,
        gt=0,
        le=1000,
        description="Steepness of `logistic` weighting around the threshold; the other weightings do not use it.",
        json_schema_extra=_affects(DECIDE),
    )
    delimiter: str = Field(
        default="\n\n",
        min_length=1,
        description="Text that ends a reasoning step. The models stop at it.",
        json_schema_extra=_affects(WRITE),
    )
    max_steps: int = Field(
        default=100,
        ge=1,
        le=MAX_STEPS_LIMIT,
        description="Number of reasoning steps after which the run ends.",
        json_schema_extra=_affects(END),
    )
    max_tokens: int = Field(
        default=4096,
        ge=1,
        description=(
            "Number of tokens in kept steps after which the run ends. A step whose model reports no count is taken "
            "for one token per four bytes of text."
        ),
        json_schema_extra=_affects(END),
    )
    max_step_tokens: int = Field(
        default=512,
        ge=1,
        description="Number of tokens after which a step is cut. The next step continues at the cut.",
        json_schema_extra=_affects(WRITE),
    )
    temperature: float = Field(
        default=0.0,
        ge=0,
        le=2,
        description="Sampling temperature of both models; 0 is greedy.",
        json_schema_extra=_affects(WRITE),
    )
    top_p: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Probability mass of nucleus sampling, for both models.",
        json_schema_extra=_affects(WRITE),
    )
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**31,
        description="Seed of sampling and of the acceptance draws. The same seed repeats a run.",
        json_schema_extra=_affects(WRITE, DECIDE),
    )
    system_prompt: str = Field(
        default="Please reason step by step, and put your final answer within \\boxed{}.",
        description="System message at the start of the conversation. Leave it empty for none.",
        json_schema_extra={**_affects(WRITE), "langgraph_type": "prompt"},
    )
    tools: Literal["off", "python", "functions"] = Field(
        default="off",
        description="`python`: Python that a step asks to run is run in the sandbox, and its output follows the step. "
        "`functions`: a step may call the tools that the graph was made with.",
        json_schema_extra=_affects(WRITE, ("tool",)),
    )
    tool_format: Literal["auto", "fenced", "openmath", "llm-code", "llama3", "gpt-oss"] = Field(
        default="auto",
        description="How the models write code and read its output; `auto` goes by the target's name, then by the "
        "draft's.",
        json_schema_extra=_affects(WRITE, ("tool",)),
    )
    tool_timeout: float = Field(
        default=5.0,
        gt=0,
        le=600,
        description="Seconds that one block of code may run.",
        json_schema_extra=_affects(("tool",)),
    )
    tools_before_score: bool = Field(
        default=False,
        description="Whether the draft's code runs before its step is scored, so that the reward sees the output. "
        "Otherwise code runs only in a step that is kept.",
        json_schema_extra=_affects(DECIDE, ("tool",)),
    )
    review: Literal["off", "rejected", "all"] = Field(
        default="off",
        description="Whether the run pauses for a person: before it keeps what the target wrote in place of a rejected "
        "step, or before it keeps any step. It needs a checkpointer.",
        json_schema_extra=_affects(("review",)),
    )
    interrupt_below: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Reward below which a step of the target makes the run pause for a person; by default none does. "
        "The target's steps are then scored too. It needs a checkpointer.",
        json_schema_extra=_affects(("review",)),
    )
    neutralize_control_tokens: bool = Field(
        default=True,
        description="Whether text in the problem, the history, tool output and edited steps that a tokenizer would "
        "read as a control token, such as `<|im_end|>`, is kept from becoming one by a zero-width space inside it.",
        json_schema_extra=_affects(WRITE),
    )

    @model_validator(mode="after")
    def _functions_wait_for_the_reward(self) -> Self:
        if self.tools == "functions" and self.tools_before_score:
            raise ValueError("`tools_before_score`: functions may do more than answer, so no rejected step calls them")
        return self

    @model_validator(mode="after")
    def _budget_needs_a_threshold(self) -> Self:
        if self.budget is not None and self.weighting != "step":
            raise ValueError(f"`budget` moves the threshold, which `{self.weighting}` weighting does not compare with")
        return self


def with_fields(settings: RSDSettings, fields: Mapping[str, Any]) -> RSDSettings:
    """The settings with these fields changed. Every field of what is returned counts as set.

    Raises:
        pydantic.ValidationError: a value is out of range, or a name is unknown; the message names it.
    """
    return RSDSettings.model_validate({**settings.model_dump(), **fields})
