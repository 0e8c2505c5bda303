"""What a run may choose. The graph's `context_schema`, which LangGraph Studio shows as a form."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Weighting = Literal["step", "constant", "clipping", "sigmoidal", "logistic"]

MAX_STEPS_LIMIT = 10_000
"""Highest `max_steps`. A bound, so that the graph can size LangGraph's `recursion_limit` once and for all."""


class RSDSettings(BaseModel):
    """Settings of one run. Pass as `context=` to the graph, as an instance or a dict.

    Raises:
        pydantic.ValidationError: a value is out of range or a name is unknown; the message names it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: float = Field(
        default=0.7,
        ge=0,
        le=1,
        description="Reward in [0, 1] from which a draft step is kept: delta of step and logistic weighting.",
    )
    weighting: Weighting = Field(
        default="step",
        description="How a reward becomes a probability of acceptance (arXiv 2501.19324, table 1).",
    )
    constant: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Probability of acceptance under `weighting='constant'`, whatever the reward.",
    )
    alpha: float = Field(
        default=10.0,
        gt=0,
        le=1000,
        description="Steepness of the logistic weighting around the threshold; unused by the others.",
    )
    delimiter: str = Field(
        default="\n\n", min_length=1, description="Text that ends a reasoning step; the models stop at it."
    )
    max_steps: int = Field(
        default=100, ge=1, le=MAX_STEPS_LIMIT, description="Reasoning steps after which the run ends."
    )
    max_tokens: int = Field(default=4096, ge=1, description="Tokens of kept steps after which the run ends.")
    max_step_tokens: int = Field(
        default=512, ge=1, description="Tokens after which one step is cut; the next step goes on where it stopped."
    )
    temperature: float = Field(default=0.0, ge=0, le=2, description="Sampling temperature of both models; 0 is greedy.")
    top_p: float = Field(default=1.0, gt=0, le=1, description="Nucleus sampling mass of both models.")
    seed: int = Field(
        default=0, ge=0, lt=2**31, description="Seed of sampling and of acceptance draws; the same seed repeats a run."
    )
    system_prompt: str = Field(
        default="Please reason step by step, and put your final answer within \\boxed{}.",
        description="System message before the conversation; empty for none.",
    )
