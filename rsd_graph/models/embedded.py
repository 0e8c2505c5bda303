"""The embedded default: two small Qwen models, found or fetched by themselves."""

from rsd_graph.models.llamacpp import EmbeddedLlamaCpp
from rsd_graph.models.weights import DRAFT, TARGET, Progress, Weights, locate


def embedded_draft(*, slots: int = 8, context: int = 4096, progress: Progress | None = None) -> EmbeddedLlamaCpp:
    """Qwen2.5-Coder-0.5B-Instruct, 4 bits. Its weights are fetched here, and loaded on first use.

    Args:
        slots: Problems computed at once.
        context: Tokens that one problem, with its response, may have.
        progress: Told about a download.

    Raises:
        WeightsError: the weights cannot be had.
    """
    return _embedded(DRAFT, slots, context, progress)


def embedded_target(*, slots: int = 8, context: int = 4096, progress: Progress | None = None) -> EmbeddedLlamaCpp:
    """Qwen2.5-Coder-1.5B-Instruct, 4 bits; otherwise as `embedded_draft`."""
    return _embedded(TARGET, slots, context, progress)


def _embedded(weights: Weights, slots: int, context: int, progress: Progress | None) -> EmbeddedLlamaCpp:
    return EmbeddedLlamaCpp(locate(weights, progress), slots=slots, context=context, parameters=weights.parameters)
