"""Full cost accounting: from tokens to FLOPs, as pure functions.

The paper counts 2 FLOPs per parameter and token (arXiv 2501.19324, section 4). Everything that a model computes counts:
steps written and discarded, prompts read again after the other model wrote, and what the reward model reads. Prompt
tokens found in a server's prefix cache cost nothing.
"""

from dataclasses import dataclass

from rsd_graph.state import Usage

FLOPS_PER_PARAMETER = 2


@dataclass(frozen=True, slots=True)
class Parameters:
    """Number of parameters of each model; `reward` is 0 if the reward needs no model of its own."""

    draft: float
    target: float
    reward: float = 0.0


@dataclass(frozen=True, slots=True)
class Flops:
    """Floating-point operations of a run."""

    draft: float
    target: float
    reward: float
    target_only: float
    """Cost of the target alone: it reads the problem once and writes the same number of tokens."""

    @property
    def total(self) -> float:
        """All three models together."""
        return self.draft + self.target + self.reward

    @property
    def saving(self) -> float:
        """Share of `target_only` that was saved: negative if the run cost more, 0 if no tokens were counted."""
        return 1 - self.total / self.target_only if self.target_only else 0.0


def flops(usage: Usage, parameters: Parameters) -> Flops:
    """The operations of a run with this token usage."""
    return Flops(
        draft=FLOPS_PER_PARAMETER * parameters.draft * usage.draft.computed,
        target=FLOPS_PER_PARAMETER * parameters.target * usage.target.computed,
        reward=FLOPS_PER_PARAMETER * parameters.reward * usage.reward.computed,
        target_only=FLOPS_PER_PARAMETER * parameters.target * (usage.question + usage.response),
    )


def paper_flops(usage: Usage, parameters: Parameters) -> float:
    """The operations as the paper counts them: what draft and target write, discarded steps included.

    What they read is left out, and the reward model altogether (arXiv 2501.19324, section 4).
    """
    written = parameters.draft * usage.draft.completion + parameters.target * usage.target.completion
    return FLOPS_PER_PARAMETER * written
