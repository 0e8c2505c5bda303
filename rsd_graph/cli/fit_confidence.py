"""`rsd fit-confidence`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from rsd_graph.cli.errors import ErrorLine, exit_codes
from rsd_graph.cli.options import user_path
from rsd_graph.cli.terminal_text import say

if TYPE_CHECKING:
    import numpy as np


def fit_confidence(
    solutions: Annotated[
        Path,
        typer.Argument(
            help="The draft's solutions with log-probabilities, as `rsd sample` writes them.",
            show_default=False,
            callback=user_path,
        ),
    ],
) -> None:
    """Fit the confidence reward to another draft, and print the lines for rsd.toml.

    A step's reward is then the probability that it is right, as far as the steps of a solution are independent. Sample
    problems that no evaluation uses, at the temperature that you will deploy with; at least 20 solutions must be right
    and 20 wrong. Also prints how well such a curve does on problems that it was not fitted to, in five folds.

    Exit code: 0 on success, 1 on an error, 2 for an unknown option, 130 on Ctrl-C.
    """
    with exit_codes(ErrorLine(), extras="eval"):
        from rsd_graph.data.solutions import read_solutions
        from rsd_graph.evaluation import calibration
        from rsd_graph.evaluation.metrics import area_under_roc

        recorded = read_solutions(solutions)
        fitted = calibration.fit_confidence(recorded)
        products, correct = calibration.held_out_confidence(recorded)
        Console(highlight=False).print(_quarters(products, correct))
        say(
            f"{len(recorded)} solutions, {correct.sum()} right; area under the ROC curve on held-out problems: "
            f"{area_under_roc(products.tolist(), correct.tolist()):.2f}\n\n"
            f"[draft]\nconfidence = {{ intercept = {fitted.intercept:.2f}, slope = {fitted.slope:.2f} }}"
        )


def _quarters(products: "np.ndarray", correct: "np.ndarray") -> Table:
    """How often solutions are right, by quarters of the product of their rewards."""
    import numpy as np

    table = Table("product of the rewards", "solutions", "mean product", "right", title="on held-out problems")
    for quarter in np.array_split(np.argsort(products, kind="stable"), 4):
        values = products[quarter]
        table.add_row(
            f"{values.min():.2f} to {values.max():.2f}",
            str(len(quarter)),
            f"{values.mean():.2f}",
            f"{correct[quarter].mean():.0%}",
        )
    return table
