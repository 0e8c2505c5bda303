"""Was the target any better? The reward of what it wrote, beside that of the draft's step which it replaced.

A step of the draft can be poor because the problem is hard, and the target's may then be no better: Arbitrage
(arXiv 2512.05033) finds that many of its calls are wasted so.
"""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from rsd_graph.errors import ConfigurationError, ContextOverflowError
from rsd_graph.protocols import RewardModel, needs_logprobs
from rsd_graph.state import Generation, Step
from rsd_graph.strategies.outcome import Models
from rsd_graph.verdicts import verdicts


async def require_shadow(models: Models, *, shadow: bool = False, **_: Any) -> None:
    """Refuse `shadow` with a reward that cannot judge the target's steps.

    Raises:
        ConfigurationError: it reads the draft's log-probabilities, which the target's steps do not have.
    """
    if shadow and needs_logprobs(models.reward):
        raise ConfigurationError(
            f"shadow: the reward {models.reward.name} reads the draft's log-probabilities, so that it cannot judge "
            "what the target wrote; use a process reward model, a trained reward or a judge"
        )


async def shadow_rewards(
    reward: RewardModel, conversation: Sequence[BaseMessage], steps: Sequence[Step]
) -> dict[int, float]:
    """The rewards of those steps that the target wrote in place of one that was scored, by their numbers.

    A step that does not fit the reward model's context is left out.
    """
    found: dict[int, float] = {}
    for number, step in enumerate(steps):
        if step.author != "target" or step.reward is None or not step.text.strip():
            continue
        try:
            (score,) = await verdicts(reward, conversation, steps[:number], [Generation(step.text, step.finish)])
        except ContextOverflowError:
            break
        found[number] = score.reward
    return found
