"""Beam search over steps: the best few solutions so far, each continued in several ways."""

from rsd_graph.settings import RSDSettings
from rsd_graph.strategies.candidates import Writer, check
from rsd_graph.strategies.outcome import Models, Outcome, Strategy, Watch, nobody
from rsd_graph.strategies.step_search import search

WIDTH = 4
"""Solutions in the beam: the beam size of the paper's experiments (arXiv 2501.19324, section 4)."""
EXPAND = 4
"""Samples for each. In arXiv 2408.03314, section 5, N samples a step are filtered to the best N / M, and each of these
is continued in M ways. With its fixed M of 4, N is `WIDTH * EXPAND` here: 16, as many as `best_of_n` takes."""


def beam(width: int = WIDTH, expand: int = EXPAND, model: Writer = "draft") -> Strategy:
    """One model continues each of the best solutions so far; the reward of the newest step decides which remain.

    The first step has `width * expand` candidates, of which `width` remain. A solution that has ended keeps its place
    in the beam, so that fewer others are continued. The search ends when all have ended. Of those that the model ended
    itself, the one with the highest reward of its last step wins; of the others, only if there is none.

    Args:
        width: Solutions that remain after each step; at least 1.
        expand: Samples of the next step for each of them; at least 1.
        model: Which one writes.

    Raises:
        ConfigurationError: `width`, `expand` or `model` is none of these.
    """
    check(width, model, "width")
    check(expand, model, "expand")

    async def solve(models: Models, problem: str, settings: RSDSettings, watch: Watch = nobody) -> Outcome:
        return await search(models, model, problem, settings, watch, width=width, expand=expand)

    return solve
