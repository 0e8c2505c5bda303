"""LangChain tools in a solution: a step that is kept may call them, and the models go on from the result.

python examples/functions.py "What is the sum of the ages of Ada and Grace? Look both up."
python examples/functions.py --fake      # scripted models: no weights, at once; the tool still runs
"""

import argparse

from langchain_core.tools import tool
from solve import embedded_models

from rsd_graph import Generation, RewardModel, StepGenerator, create_rsd_graph

PROBLEM = "What is the sum of the ages of Ada and Grace? Look both up."
AGES = {"ada": 36, "grace": 85}


@tool
def age(name: str) -> int:
    """The age of a person, in years."""
    return AGES[name.lower()]


def fake_models() -> tuple[StepGenerator, StepGenerator, RewardModel]:
    from rsd_graph.testing import ScriptedModel, ScriptedReward

    calls = "\n".join(
        f'<tool_call>\n{{"name": "age", "arguments": {{"name": "{name}"}}}}\n</tool_call>' for name in ("Ada", "Grace")
    )
    draft = ScriptedModel([Generation(calls, "eos"), Generation(r"Together they are \boxed{121}.", "eos")])
    return draft, ScriptedModel([]), ScriptedReward([0.9])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problem", nargs="?", default=PROBLEM)
    parser.add_argument("--fake", action="store_true", help="use scripted models")
    options = parser.parse_args()
    graph = create_rsd_graph(*(fake_models() if options.fake else embedded_models()), tools=[age])
    out = graph.invoke({"problem": options.problem})
    for step in out["steps"]:
        print(f"{step.author:>7}: {step.text.strip()}")
    print(f" answer: {out['answer']}")


if __name__ == "__main__":
    main()
