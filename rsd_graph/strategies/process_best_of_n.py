"""Process best of n: of n sampled next steps, the one that the reward model scores highest; and so on, step by step."""

from dataclasses import replace

from rsd_graph.settings import RSDSettings
from rsd_graph.strategies.candidates import N, Writer, check
from rsd_graph.strategies.outcome import Models, Outcome, Strategy, Watch, nobody
from rsd_graph.strategies.step_search import search


def process_best_of_n(n: int = N, model: Writer = "draft") -> Strategy:
    """One model samples n candidates for the next step; the reward model scores them all, and the best one is kept.

    The paper compares RSD with it (arXiv 2501.19324, section 4). `best_of_n` chooses among whole solutions instead. Of
    equal rewards, the first candidate is kept; a blank one only if all are.

    Args:
        n: Candidates for each step; at least 1.
        model: Which one writes.

    Raises:
        ConfigurationError: `n` or `model` is none of these.
    """
    check(n, model)

    async def solve(models: Models, problem: str, settings: RSDSettings, watch: Watch = nobody) -> Outcome:
        outcome = await search(models, model, problem, settings, watch, width=1, expand=n)
        return replace(outcome, answers=())  # there is only one solution

    return solve
