"""Human review: the run pauses at every rejected step, and you say what becomes of it.

python examples/review.py
python examples/review.py --fake      # scripted models, and a scripted reviewer who takes the draft's
"""

import sys
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from solve import PROBLEM, embedded_models, fake_models

from rsd_graph import create_rsd_graph
from rsd_graph.checkpoints import serializer


def answer(asked: dict[str, Any]) -> str:
    """What the person says: one of the actions that can be taken here."""
    print(f"step {asked['step'] + 1}, the draft's ({asked['draft']['reward']:.2f}): {asked['draft']['text']}")
    print(f"        the target's ({asked['target']['reward']:.2f}): {asked['target']['text']}")
    return "draft" if "--fake" in sys.argv else input(f"{', '.join(asked['actions'])}? ")


def main() -> None:
    saver = InMemorySaver(serde=serializer())  # with a saver on a disk, the answer may come from another process
    graph = create_rsd_graph(*(fake_models() if "--fake" in sys.argv else embedded_models()), checkpointer=saver)
    thread: Any = {"configurable": {"thread_id": "1"}}
    out = graph.invoke({"problem": PROBLEM}, thread, context={"review": "rejected"})
    while pauses := out.get("__interrupt__"):
        out = graph.invoke(Command(resume=answer(pauses[0].value)), thread)
    for step in out["steps"]:
        print(f"{step.author:>7}: {step.text}")
    print(f" answer: {out['answer']}")


if __name__ == "__main__":
    main()
