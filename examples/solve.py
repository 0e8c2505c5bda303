"""Embed the graph: stream its events, then use it as a tool of a larger agent.

python examples/solve.py "Natalia sold 48 clips in April and half as many in May. How many in all?"
python examples/solve.py --fake      # scripted models: no weights, at once
"""

import argparse
import asyncio
from typing import Any

from langchain_core.tools import tool

from rsd_graph import Generation, RewardModel, StepGenerator, create_rsd_graph

PROBLEM = "Natalia sold 48 clips in April and half as many in May. How many in all?"


def fake_models() -> tuple[StepGenerator, StepGenerator, RewardModel]:
    from rsd_graph.testing import ScriptedModel, ScriptedReward

    draft = ScriptedModel(
        [Generation("In May she sold 48 * 2 = 96.", "delimiter"), Generation(r"In all: \boxed{72}.", "eos")]
    )
    target = ScriptedModel([Generation("In May she sold 48 / 2 = 24.", "delimiter")])
    return draft, target, ScriptedReward([0.31, 0.95])


def embedded_models() -> tuple[StepGenerator, StepGenerator, RewardModel]:
    from rsd_graph.models.llamacpp import EmbeddedLlamaCpp
    from rsd_graph.models.weights import DRAFT, TARGET
    from rsd_graph.rewards.confidence import ConfidenceReward

    return EmbeddedLlamaCpp(DRAFT, slots=1), EmbeddedLlamaCpp(TARGET, slots=1), ConfidenceReward()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problem", nargs="?", default=PROBLEM)
    parser.add_argument("--fake", action="store_true", help="use scripted models")
    options = parser.parse_args()
    graph = create_rsd_graph(*(fake_models() if options.fake else embedded_models()))

    event: Any
    async for event in graph.astream({"problem": options.problem}, stream_mode="custom"):
        match event["event"]:
            case "scored" if not event["accepted"]:
                print(f"     rejected ({event['reward']:.2f})")
            case "kept":
                print(f"{event['author']:>8}: {event['text']}")
            case "finished":
                print(f"  answer: {event['answer']}")

    @tool
    async def solve(problem: str) -> str:
        """Solve a mathematics problem step by step, and return the final answer."""
        out = await graph.ainvoke({"problem": problem}, context={"max_steps": 30})
        return out["answer"] or "no answer found"

    print(f" as tool: {await solve.ainvoke({'problem': options.problem})}")


if __name__ == "__main__":
    asyncio.run(main())
