"""A program: `rsd bench` on scripted models that take their time, until it is done or killed.

python -m tests.inspect_plugin.benched FOLDER SECONDS
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from rsd_graph.inspect.backends import using
from rsd_graph.inspect.bench import Bench, run_bench
from rsd_graph.strategies.outcome import Models
from rsd_graph.testing import ScriptedModel, ScriptedReward
from tests.inspect_plugin.evaluated import wrote

PROBLEMS = 8
STRATEGIES = ("draft", "target", "rsd threshold=0.5")


class Slow(ScriptedModel):
    """Writes the sum of the first two numbers of the question, some time after it was asked."""

    seconds = 0.0

    async def generate(self, *args: Any, **options: Any) -> Any:
        await asyncio.sleep(self.seconds)
        return await super().generate(*args, **options)


def adds(wrong_from: int) -> Any:
    def answer(messages: Any, _: str, __: Any) -> Any:
        first, second = map(int, messages[-1].content.rstrip("?").split("+"))
        return wrote(rf"It is \boxed{{{first + second + (first >= wrong_from)}}}")

    return answer


def main(folder: Path, seconds: float) -> None:
    Slow.seconds = seconds
    file = folder / "sums.jsonl"
    rows = [{"question": f"{number}+{number}?", "answer": str(2 * number)} for number in range(PROBLEMS)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    reward = ScriptedReward(lambda _, candidate: 0.9 if "boxed{2}" in candidate.text else 0.1)
    with using(Models(Slow(adds(2), "d"), Slow(adds(6), "t"), reward)):
        run_bench(Bench(str(file), STRATEGIES, in_flight=2), folder / "logs", "none")


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
