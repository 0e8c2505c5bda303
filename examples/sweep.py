"""One problem at several thresholds; what the runs share is written once.

python examples/sweep.py "A box holds 12 eggs. How many eggs are in 15 boxes?"
python examples/sweep.py --fake      # scripted models: no weights, at once
"""

import argparse

from solve import PROBLEM, embedded_models, fake_models

from rsd_graph import create_rsd_graph
from rsd_graph.agents import threshold_sweep

THRESHOLDS = (0.3, 0.5, 0.7, 0.9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problem", nargs="?", default=PROBLEM)
    parser.add_argument("--fake", action="store_true", help="use scripted models")
    options = parser.parse_args()
    graph = create_rsd_graph(*(fake_models() if options.fake else embedded_models()))
    sweep = threshold_sweep(graph, options.problem, THRESHOLDS)
    for run in sweep.runs:
        authors = " ".join(step.author for step in run.output["steps"])
        print(f"{run.threshold:.1f}  {run.output['answer']}  {authors}  ({run.shared} shared)")
    print(f"{sweep.written} tokens written, {sweep.saved:.0%} saved")


if __name__ == "__main__":
    main()
