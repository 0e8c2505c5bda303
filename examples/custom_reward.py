"""A reward of your own: it checks the arithmetic in each step, and leaves the rest to the draft's confidence.

python examples/custom_reward.py "A box holds 12 eggs. How many eggs are in 15 boxes?"
python examples/custom_reward.py --fake      # scripted models: no weights, at once
"""

import argparse
import re
from collections.abc import Sequence

from langchain_core.messages import BaseMessage
from solve import embedded_models, fake_models

from rsd_graph import Generation, RewardModel, Score, Step, create_rsd_graph

PROBLEM = "A box holds 12 eggs. How many eggs are in 15 boxes?"
NUMBER = r"-?\d+(?:\.\d+)?"
EQUATION = re.compile(rf"({NUMBER})\s*([-+*/])\s*({NUMBER})\s*=\s*({NUMBER})(?![\d.]*\s*[-+*/])")


class ArithmeticReward:
    """0 for a step with a wrong equation of two numbers, such as `12 * 15 = 170`; else another reward's word.

    Args:
        otherwise: Is asked about every other step.
    """

    def __init__(self, otherwise: RewardModel) -> None:
        self.name = f"arithmetic, then {otherwise.name}"
        self._otherwise = otherwise

    async def score(
        self, messages: Sequence[BaseMessage], steps: Sequence[Step], candidates: Sequence[Generation]
    ) -> list[Score]:
        """See `RewardModel.score`."""
        scores = await self._otherwise.score(messages, steps, candidates)
        return [
            Score(0.0, score.usage) if has_wrong_equation(candidate.text) else score
            for candidate, score in zip(candidates, scores, strict=True)
        ]


def has_wrong_equation(text: str) -> bool:
    return any(not is_right(*found) for found in EQUATION.findall(text.replace(",", "")))


def is_right(left: str, sign: str, right: str, result: str) -> bool:
    """Whether the equation holds, to the precision in which its result is written."""
    a, b = float(left), float(right)
    if sign == "/" and b == 0:
        return False
    exact = {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else 0.0}[sign]
    digits = len(result.partition(".")[2])
    return abs(exact - float(result)) <= 0.5 * 10.0**-digits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problem", nargs="?", default=PROBLEM)
    parser.add_argument("--fake", action="store_true", help="use scripted models")
    options = parser.parse_args()
    draft, target, reward = fake_models() if options.fake else embedded_models()
    out = create_rsd_graph(draft, target, ArithmeticReward(reward)).invoke({"problem": options.problem})
    for step in out["steps"]:
        judged = "not scored" if step.reward is None else f"draft's reward {step.reward:.2f}"
        print(f"{step.author:>6} ({judged}): {step.text}")
    print(f"answer: {out['answer']}")


if __name__ == "__main__":
    main()
