"""Fit the confidence reward to a draft's recorded solutions of training problems.

    python benchmarks/gsm8k.py gsm8k-train.jsonl --limit 150 --only draft-only --results calibration
    python benchmarks/calibrate.py calibration/draft-only.jsonl

Prints the two numbers of `ConfidenceReward`, how well they do on held-out problems (five folds), and how often a
solution with a given product of rewards is right.
"""

import argparse
import math
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from rsd_graph.data.solutions import read_solutions, split_by_problem
from rsd_graph.evaluation.calibration import fit_confidence
from rsd_graph.evaluation.metrics import area_under_roc
from rsd_graph.rewards.confidence import surprisal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("solutions", type=Path, help="recorded solutions, as benchmarks/gsm8k.py writes them")
    solutions = read_solutions(parser.parse_args().solutions)
    products, correct = [], []
    for training, held_out in split_by_problem(solutions, folds=5):
        reward = fit_confidence(training)
        products += [math.prod(reward.reward(surprisal(step)) for step in each.steps) for each in held_out]
        correct += [each.correct for each in held_out]
    fitted = fit_confidence(solutions)
    print(f"{len(solutions)} solutions, {sum(correct)} right")
    print(f"ConfidenceReward(intercept={fitted.intercept:.2f}, slope={fitted.slope:.2f})")
    print(f"AUC on held-out problems: {area_under_roc(products, correct):.3f}")
    table = Table("product of rewards", "solutions", "mean product", "right")
    order = np.argsort(products)
    for quarter in np.array_split(order, 4):
        values, outcomes = np.array(products)[quarter], np.array(correct)[quarter]
        span = f"{values.min():.2f} to {values.max():.2f}"
        table.add_row(span, str(len(quarter)), f"{values.mean():.2f}", f"{outcomes.mean():.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
