"""What `rsd evaluate-reward` prints: two tables and a line of figures."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from rsd_graph.cli.terminal_text import plain

if TYPE_CHECKING:
    from rsd_graph.evaluation.summary import Evaluation


def print_tables(evaluation: "Evaluation", name: str) -> None:
    """Print the AUC of each reward of a solution, the reliability of the last step's, and what a step costs."""
    from rsd_graph.evaluation.metrics import expected_calibration_error

    out = Console(highlight=False)
    title = plain(f"{name}, {sum(evaluation.correct)} of {len(evaluation.correct)} solutions right", "table.title")
    table = Table("reward of a solution", "AUC (95 % interval)", title=title)
    for what, area in evaluation.areas().items():
        table.add_row(plain(what), str(area))
    out.print(table)
    bins = evaluation.reliability()
    table = Table("reward of the last step", "solutions", "mean reward", "right", title="reliability")
    for each in bins:
        table.add_row(f"{each.low:.1f} to {each.high:.1f}", str(each.count), f"{each.reward:.2f}", f"{each.right:.2f}")
    out.print(table)
    early, late = evaluation.tokens(5, 5), evaluation.tokens(40, 40)
    steps = "".join(
        f", {tokens:.0f} for step {number}" for number, tokens in ((5, early), (40, late)) if tokens is not None
    )
    error = expected_calibration_error(bins)
    out.print(
        f"expected calibration error {error:.3f}; a step takes {evaluation.milliseconds:.1f} ms and computes "
        f"{evaluation.tokens():.0f} tokens{steps}",
        soft_wrap=not out.is_terminal,  # a file has no width: do not wrap lines
    )
