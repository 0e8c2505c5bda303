"""What strategies share that choose among several solutions."""

from collections.abc import Sequence
from typing import Literal

from rsd_graph.errors import ConfigurationError
from rsd_graph.settings import RSDSettings
from rsd_graph.state import TokenUsage, Usage
from rsd_graph.strategies.outcome import Watch

N = 16
"""Solutions, as in the paper's experiments (arXiv 2501.19324, section 4)."""

Writer = Literal["draft", "target"]


def check(n: int, model: str, name: str = "n") -> None:
    """Refuse what cannot be sampled.

    Args:
        n: How many samples.
        model: Which one writes them.
        name: What `n` is called.

    Raises:
        ConfigurationError: `n` is no whole number from 1, or `model` is no model.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ConfigurationError(f"{name} must be a whole number from 1, got {n!r}")
    if model not in {"draft", "target"}:
        raise ConfigurationError(f"model must be draft or target, got {model!r}")


def seeded(settings: RSDSettings, number: int) -> RSDSettings:
    """The settings of the candidate with this number: each has a seed of its own."""
    return settings.model_copy(update={"seed": (settings.seed + 7919 * number) % 2**31})


def used(model: Writer, tokens: TokenUsage) -> Usage:
    """These tokens, as those of the model in this role."""
    return Usage(draft=tokens) if model == "draft" else Usage(target=tokens)


async def tell(watch: Watch, candidates: Sequence[tuple[str, str | None, float | None]], chosen: int) -> None:
    """Tell who watches about whole solutions: the text, the answer and the reward of each, and which one is chosen."""
    for number, (text, answer, reward) in enumerate(candidates):
        await watch(
            {
                "event": "candidate",
                "step": None,
                "number": number,
                "text": text,
                "answer": answer,
                "reward": reward,
                "chosen": number == chosen,
            }
        )
