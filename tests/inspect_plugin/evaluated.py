"""A program: evaluations on scripted models, each with its log in a folder of its own under FOLDER.

python -m tests.inspect_plugin.evaluated FOLDER
"""

import json
import sys
from pathlib import Path
from typing import Any

import inspect_ai
from inspect_ai import Task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import get_model
from inspect_ai.scorer import includes
from inspect_ai.solver import generate

from rsd_graph import Generation, TokenUsage
from rsd_graph.inspect.backends import using
from rsd_graph.inspect.registry import SOLVERS, TASKS
from rsd_graph.strategies.outcome import Models
from rsd_graph.testing import ScriptedModel, ScriptedReward

PROBLEMS = [{"question": "2+2?", "answer": "Four.\n#### 4"}, {"question": "2+3?", "answer": "Five.\n#### 5"}]
OWN: dict[str, dict[str, Any]] = {
    "majority": {"n": 3},
    "best-of-n": {"n": 2},
    "process-best-of-n": {"n": 2},
    "beam": {"width": 2, "expand": 2},
    "spec-reason": {"threshold": 5},
}


def wrote(text: str, finish: Any = "eos") -> Generation:
    return Generation(text, finish, TokenUsage(10, 4, 5))


def drafts(_: Any, response: str, settings: Any) -> Generation:
    if settings.delimiter != "\n\n":
        return wrote(r"I guess \boxed{5}")
    return wrote(r"So \boxed{4}") if response else wrote("2+2 is 5", "delimiter")


def writes(messages: Any, _: str, settings: Any) -> Generation:
    if settings.max_step_tokens == 1:  # it rates a step
        return wrote("4" if messages[-2].text == "2+2 is 5" else "9", "length")
    return wrote(r"\boxed{4}") if settings.delimiter != "\n\n" else wrote("2+2 is 4", "delimiter")


class Target(ScriptedModel):
    """A target whose engine has a draft model of its own."""

    async def speculates(self) -> bool | None:
        return True


def main(folder: Path) -> None:
    problems = folder / "problems.jsonl"
    problems.write_text("".join(json.dumps(row) + "\n" for row in PROBLEMS))

    def evaluate(name: str, task: Any, **options: Any) -> None:
        inspect_ai.eval(task, log_dir=str(folder / name), display="none", log_level="critical", **options)

    draft = ScriptedModel(drafts, "d")
    with using(Models(draft, Target(writes, "t"), ScriptedReward(lambda steps, _: 0.9 if steps else 0.2))):
        for name in SOLVERS:
            solver = SOLVERS[name](**{"threshold": 0.8, **OWN.get(name, {})})
            evaluate(name, TASKS["gsm8k"](data=str(problems)), solver=solver, model="none/none")
        evaluate("again", TASKS["gsm8k"](data=str(problems)), solver=SOLVERS["rsd"](threshold=0.8), model="none/none")
        draft.calls.clear()
        evaluate("epochs", TASKS["gsm8k"](data=str(problems)), model="none/none", epochs=2, limit=1)
        seeds = {settings.seed for _, response, settings in draft.calls if not response}
        (folder / "seeds.json").write_text(json.dumps(sorted(seeds)))
        task = Task(dataset=MemoryDataset([Sample(input="2+2?", target="4")]), solver=generate(), scorer=includes())
        evaluate("model", task, model=get_model("rsd/embedded", threshold=0.8))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
