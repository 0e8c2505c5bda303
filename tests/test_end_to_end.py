"""Everything together on real weights: the command, two models in one process, the graph, the confidence reward."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from rsd_graph import create_rsd_graph
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp
from rsd_graph.rewards.confidence import ConfidenceReward

PROBLEM = "Tom has 3 boxes with 4 apples each. He eats 2 apples. How many are left?"


def test_the_command_solves_a_problem_on_real_weights(tiny_weights: Path, tmp_path: Path) -> None:
    """Two models load, both write, every step is accounted for, and the process ends with its servers.

    SmolLM2-135M in both roles cannot be expected to solve it; what matters is that the weights are real. Its text
    differs between processors, so seeded draws decide who writes each step, and steps are short.
    """
    (tmp_path / "rsd.toml").write_text('[settings]\nweighting = "constant"\nmax_step_tokens = 16')
    command = [sys.executable, "-m", "rsd_graph.cli", "solve", PROBLEM, "--json"]
    command += ["--draft", str(tiny_weights), "--target", str(tiny_weights), "--max-tokens", "200", "--max-steps", "12"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=600)
    assert run.returncode in (0, 3), run.stderr
    events = [json.loads(line) for line in run.stdout.splitlines()]
    result = events[-1]
    kept = [event for event in events if event["event"] == "kept"]
    assert result["event"] == "result"
    assert [step["text"] for step in result["steps"]] == [event["text"] for event in kept]
    assert [step["author"] for step in result["steps"][:2]] == ["draft", "target"]
    assert all(0 <= step["reward"] <= 1 for step in result["steps"])
    usage = result["usage"]
    assert usage["response"] == sum(step["tokens"] for step in result["steps"])
    by_author = {
        author: sum(step["tokens"] for step in result["steps"] if step["author"] == author)
        for author in ("draft", "target")
    }
    assert usage["draft"]["completion"] == by_author["draft"] + usage["discarded"]
    assert usage["target"]["completion"] == by_author["target"]
    assert usage["draft"]["cached"] > 0


def test_problems_share_a_batch_and_models_take_turns(digit_weights: Path) -> None:
    """Four problems at once on two small embedded models all end."""

    async def run() -> None:
        draft, target = (
            EmbeddedLlamaCpp(digit_weights, name=name, slots=4, context=512) for name in ("draft", "target")
        )
        graph = create_rsd_graph(draft, target, ConfidenceReward())
        context: dict[str, Any] = {"threshold": 0.9, "max_steps": 4, "max_step_tokens": 8}
        outs = await graph.abatch([{"problem": f"What is {n} + {n}?"} for n in range(4)], context=context)
        assert [out["stop"] in ("eos", "max_steps") for out in outs] == [True] * 4
        assert all(out["usage"].draft.completion > 0 for out in outs)
        await draft.aclose()
        await target.aclose()

    asyncio.run(run())
