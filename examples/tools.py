"""Tool-augmented solving: code in a step is run in the sandbox, and its output follows.

python examples/tools.py "What is 12345 * 6789 + 98765?"
python examples/tools.py --fake      # scripted models: no weights, at once; the code still runs
"""

import argparse

from solve import embedded_models

from rsd_graph import Generation, RewardModel, StepGenerator, create_rsd_graph
from rsd_graph.errors import SandboxError

PROBLEM = "What is 12345 * 6789 + 98765? Compute it with Python."


def fake_models() -> tuple[StepGenerator, StepGenerator, RewardModel]:
    from rsd_graph.testing import ScriptedModel, ScriptedReward

    program = Generation("We compute it.\n```python\n12345 * 6789 + 98765\n```", "delimiter")
    draft = ScriptedModel([program, Generation(r"The result is \boxed{83908970}.", "eos")])
    return draft, ScriptedModel([]), ScriptedReward([0.9])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problem", nargs="?", default=PROBLEM)
    parser.add_argument("--fake", action="store_true", help="use scripted models")
    options = parser.parse_args()
    graph = create_rsd_graph(*(fake_models() if options.fake else embedded_models()))
    try:
        out = graph.invoke({"problem": options.problem}, context={"tools": "python"})
    except SandboxError as error:
        raise SystemExit(f"nothing was run: {error}") from error
    for step in out["steps"]:
        print(f"{step.author:>7}: {step.text.strip()}")
    print(f" answer: {out['answer']}")


if __name__ == "__main__":
    main()
