import sqlite3
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from rsd_graph import Generation, Score, TokenUsage, Usage, create_rsd_graph
from rsd_graph.testing import ScriptedModel, ScriptedReward
from tests.graph.scripts import KEEP, thread

COUNT: Any = np.int64(3)
NUMPY = Generation("a", "delimiter", TokenUsage(COUNT, np.int32(1), COUNT), np.array([-0.5, -0.1], np.float32))  # type: ignore[arg-type]


class NumpyReward:
    name = "numpy"

    async def score(self, *_: Any) -> list[Score]:
        return [Score(np.float32(0.75), TokenUsage(COUNT, COUNT, COUNT))]  # type: ignore[arg-type]


def savers() -> list[Any]:
    made: list[Any] = [InMemorySaver(), InMemorySaver(serde=JsonPlusSerializer(pickle_fallback=False))]
    if find_spec("langgraph.checkpoint.sqlite"):  # a package of its own
        connection = sqlite3.connect(":memory:", check_same_thread=False)
        made.append(import_module("langgraph.checkpoint.sqlite").SqliteSaver(connection))
    return made


@pytest.mark.parametrize("saver", savers(), ids=lambda saver: type(saver).__name__)
def test_models_may_count_with_numpy(saver: Any) -> None:
    """Every checkpointer can write what they report, and the run reads the same after it."""
    model = ScriptedModel([NUMPY, Generation("b", "eos", TokenUsage(COUNT, 0, COUNT))])
    graph = create_rsd_graph(model, model, NumpyReward(), checkpointer=saver)
    out = graph.invoke({"problem": "p"}, thread())
    assert out["usage"].draft == TokenUsage(6, 1, 6)
    assert graph.get_state(thread()).values["usage"] == out["usage"]
    assert {type(each.tokens) for each in out["steps"]} | {type(out["usage"].draft.prompt)} == {int}


def test_numbers_pass_the_strict_form_of_a_checkpoint() -> None:
    """`LANGGRAPH_STRICT_MSGPACK` is read when LangGraph is imported, so a program of its own tries it."""
    code = (
        "from tests.graph.test_counting import *\n"
        "model = ScriptedModel([NUMPY, Generation('b', 'eos')])\n"
        "graph = create_rsd_graph(model, model, NumpyReward(), checkpointer=InMemorySaver())\n"
        "out = graph.invoke({'problem': 'p', 'history': [('user', 'hello')]}, thread(), context={'seed': 3})\n"
        "before = [each for each in graph.get_state_history(thread()) if each.next == ('score',)][-1]\n"
        "print(graph.get_state(thread()).values['usage'] == out['usage'], type(before.values['proposal'].logprobs))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"LANGGRAPH_STRICT_MSGPACK": "true", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("True <class 'tuple'>\n", "")


def test_a_usage_of_none_is_unknown() -> None:
    """As a server that reports null: nothing is counted for it."""
    model = ScriptedModel([Generation("a", "eos", usage=None)])  # type: ignore[arg-type]
    reward: Any = ScriptedReward([KEEP])
    out = create_rsd_graph(model, model, reward).invoke({"problem": "p"})
    assert out["usage"] == Usage()


@pytest.mark.parametrize(
    ("text", "logprobs", "steps"),
    [
        ("x" * 40, None, 10),  # ten tokens by its length
        ("x", None, 100),  # the run ends by `max_steps` or by one token for each step
        ("x" * 40, (-0.1,) * 25, 4),
    ],
)
def test_a_model_that_does_not_count_is_still_limited(text: str, logprobs: Any, steps: int) -> None:
    """By its log-probabilities if there are any, else by the length of its text."""
    model = ScriptedModel([Generation(text, "delimiter", logprobs=logprobs)])
    out = create_rsd_graph(model, model, ScriptedReward([KEEP])).invoke(
        {"problem": "p"}, context={"max_tokens": 100, "max_steps": 1000}
    )
    assert (out["stop"], len(out["steps"])) == ("max_tokens", steps)
    left = [settings.max_step_tokens for _, _, settings in model.calls]
    assert left[0] == 100
    assert left == sorted(left, reverse=True)


def test_an_estimate_is_no_count() -> None:
    """It ends a run, and is reported nowhere: costs are made of what the models say."""
    model = ScriptedModel([Generation("x" * 40, "delimiter")])
    out = create_rsd_graph(model, model, ScriptedReward([KEEP])).invoke({"problem": "p"}, context={"max_tokens": 20})
    assert (out["stop"], out["usage"], out["steps"][0].tokens) == ("max_tokens", Usage(), 0)
