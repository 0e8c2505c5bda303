import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rsd_graph import RSDSettings, create_rsd_graph
from rsd_graph.acceptance import accepts
from rsd_graph.settings import Weighting
from rsd_graph.testing import ScriptedModel, ScriptedReward
from tests.graph.scripts import endless, step

GOLDEN = Path(__file__).parents[3] / "shared" / "golden" / "reference_traces.json"


@pytest.mark.skipif(not GOLDEN.exists(), reason="the golden traces are not part of the repository")
@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_authors_decisions_are_reproduced(asynchronous: bool) -> None:
    """Response and authors of every problem that the authors' own decision loop solved, step by step."""
    problems = 0
    for scenario in json.loads(GOLDEN.read_text()):
        context = {name: scenario[name] for name in ("threshold", "max_steps", "max_tokens", "delimiter")}
        for problem in scenario["problems"]:
            models = {
                role: ScriptedModel(
                    {
                        response: step(said[role]["text"], "delimiter" if said[role]["stop"] else "eos")
                        for response, said in problem["models"].items()
                        if role in said
                    }
                )
                for role in ("draft", "target")
            }
            graph = create_rsd_graph(models["draft"], models["target"], ScriptedReward(problem["rewards"]))
            question: Any = {"problem": problem["problem"]}
            if asynchronous:
                out = asyncio.run(graph.ainvoke(question, context=context))
            else:
                out = graph.invoke(question, context=context)
            assert out["response"] == problem["response"]
            assert [each.author for each in out["steps"]] == problem["authors"]
            assert [each.reward for each in out["steps"]] == problem["rewards"]
            problems += 1
    assert problems == 118


@hypothesis_settings(max_examples=60)
@given(
    rewards=st.lists(st.floats(0, 1), min_size=1, max_size=8),
    weighting=st.sampled_from(["step", "constant", "clipping", "sigmoidal", "logistic"]),
    seed=st.integers(0, 1000),
)
def test_the_graph_decides_as_the_algorithm(rewards: list[float], weighting: Weighting, seed: int) -> None:
    """Each step's author follows from its reward, the weighting and the seeded draw, under every weighting function."""
    settings = RSDSettings(weighting=weighting, seed=seed, max_steps=len(rewards))
    graph = create_rsd_graph(ScriptedModel([step("d")]), ScriptedModel([step("t")]), ScriptedReward(rewards))
    out = graph.invoke({"problem": "p"}, context=settings)
    expected = ["draft" if accepts(reward, settings, index) else "target" for index, reward in enumerate(rewards)]
    assert [each.author for each in out["steps"]] == expected
    assert out["response"] == "\n\n".join(author[0] for author in expected)


def test_the_drawing_shows_the_algorithm() -> None:
    """Studio draws START -> draft -> score -> check | target; target -> check; check -> draft | END."""
    drawing = endless().get_graph()
    assert {(edge.source, edge.target, edge.conditional) for edge in drawing.edges} == {
        ("__start__", "draft", False),
        ("draft", "score", False),
        ("score", "check", True),
        ("score", "target", True),
        ("target", "check", False),
        ("check", "draft", True),
        ("check", "__end__", True),
    }
