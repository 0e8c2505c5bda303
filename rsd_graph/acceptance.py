"""The weighting functions and the acceptance rule of RSD: pure functions.

Source: Liao et al., "Reward-Guided Speculative Decoding for Efficient LLM Reasoning", arXiv 2501.19324, section 3 and
table 1.
"""

import math
from hashlib import blake2b

from rsd_graph.settings import RSDSettings


def acceptance_probability(reward: float, settings: RSDSettings) -> float:
    """`w(reward)`: the probability in [0, 1] that a draft step with this reward is kept.

    Args:
        reward: The process reward of the step, in [0, 1].
        settings: `weighting` names the function; `threshold`, `constant` and `alpha` are its parameters.
    """
    match settings.weighting:
        case "step":
            return float(reward >= settings.threshold)
        case "constant":
            return settings.constant
        case "clipping":
            return min(1.0, max(0.0, reward))
        case "sigmoidal":
            return max(0.0, reward / (1 + reward))
        case "logistic":
            return sigmoid(settings.alpha * (reward - settings.threshold))


def sigmoid(x: float) -> float:
    """`1 / (1 + exp(-x))`, for any finite x."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def uniform_draw(seed: int, step: int) -> float:
    """A number in [0, 1) that depends only on the seed and on the step's index, counted from 0.

    A resumed, forked or replayed run therefore makes the same decisions as the first one.
    """
    digest = blake2b(f"{seed}/{step}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / 2**53


def accepts(reward: float, settings: RSDSettings, step: int) -> bool:
    """Whether the draft's proposal for step number `step`, counted from 0, is kept (algorithm 1 of the paper)."""
    return uniform_draw(settings.seed, step) < acceptance_probability(reward, settings)
