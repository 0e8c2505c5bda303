"""Whole runs of the graph on three real vLLM servers that `rsd serve` has started."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from langchain_core.messages import HumanMessage

from rsd_graph import Generation, RSDSettings, TokenUsage, create_rsd_graph
from rsd_graph.assembly import assemble
from rsd_graph.config import ROLES, Config, Role, load_config
from rsd_graph.errors import ContextOverflowError
from rsd_graph.events import RSDEvent
from rsd_graph.models.vllm import VLLM
from rsd_graph.text_sink import text_to
from tests.conftest import free_port
from tests.vllm.checkpoints import checkpoint
from tests.vllm.conftest import CONTEXT, ENGINE_FLAGS
from tests.vllm.metrics import counters

RSD = [sys.executable, "-m", "rsd_graph.cli"]
MODELS: dict[Role, str] = {"draft": "draft", "target": "smollm2", "reward": "skywork"}
PROBLEMS = [f"Tom has {count} apples and buys {count + 3} more. How many apples has he now?" for count in range(2, 10)]
START_SECONDS = 900


class Serving:
    """`rsd serve`, and what it has started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "rsd.toml"
        self.ports = {role: free_port() for role in ROLES}
        tables = [
            f'[{role}]\nmodel = "{checkpoint(MODELS[role])}"\nport = {self.ports[role]}\nflags = {list(ENGINE_FLAGS)}\n'
            + ('kind = "skywork"\n' if role == "reward" else "")
            for role in ROLES
        ]
        self.file.write_text("".join(tables))
        self.output = folder / "serve.out"
        with self.output.open("wb") as out:
            self.process = subprocess.Popen([*RSD, "serve"], cwd=folder, stdout=out, stderr=subprocess.STDOUT)

    def wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while b"ready: rsd solve" not in self.output.read_bytes():
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.5)

    @property
    def config(self) -> Config:
        return load_config(self.file)

    def pids(self, role: Role | None = None) -> list[int]:
        """The processes of a role's server that have its port on their command line; of all, those of its folder."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
                ours = (process / "cwd").readlink() == self.folder
                if ours and words[0] and (role is None or str(self.ports[role]) in words):
                    found.append(int(process.name))
        return [pid for pid in found if pid != os.getpid()]

    def kill(self, role: Role) -> None:
        os.kill(min(self.pids(role)), signal.SIGKILL)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Three servers; at the end Ctrl-C, and nothing may be left."""
    running = Serving(tmp_path_factory.mktemp("serve"))
    try:
        running.wait()
        yield running
    finally:
        running.process.send_signal(signal.SIGINT)
        code = running.process.wait(90)
    assert code == 0
    assert not running.pids()


def url(serving: Serving, role: Role) -> str:
    return f"http://127.0.0.1:{serving.ports[role]}"


def generate(serving: Serving, problem: str, response: str = "", n: int = 1, **settings: Any) -> list[Generation]:
    async def run() -> list[Generation]:
        model = VLLM(url(serving, "draft"))
        try:
            return await model.generate([HumanMessage(problem)], response, settings=RSDSettings(**settings), n=n)
        finally:
            await model.aclose()

    return asyncio.run(run())


def test_the_command_solves_a_problem_on_the_servers(serving: Serving) -> None:
    """`rsd solve` finds them by the same file, and both models write."""
    command = [*RSD, "solve", PROBLEMS[0], "--weighting", "constant", "--max-steps", "4", "--json"]
    solved = subprocess.run(command, check=False, cwd=serving.folder, capture_output=True, text=True, timeout=300)
    assert solved.returncode in (0, 3), solved.stderr
    assert '"event": "result"' in solved.stdout
    assert '"reward": {"prompt": ' in solved.stdout.replace('"reward": null', "")


def test_how_a_step_ended_is_told_apart(serving: Serving) -> None:
    """At the delimiter, at the end of the text, at a limit."""
    (step,) = generate(serving, PROBLEMS[0], max_step_tokens=200)
    assert step.finish == "delimiter"
    assert "\n\n" not in step.text
    (cut,) = generate(serving, PROBLEMS[0], max_step_tokens=3)
    assert (cut.finish, cut.usage.completion) == ("length", 3)
    (end,) = generate(serving, "Answer with one word: what is the capital of France?", max_step_tokens=200)
    assert end.finish == "eos"
    assert step.logprobs is not None
    assert len(step.logprobs) == step.usage.completion


@pytest.mark.parametrize("options", [{"max_step_tokens": 200}, {"max_step_tokens": 3}, {"temperature": 1.5, "seed": 3}])
def test_a_step_is_the_same_when_it_streams(serving: Serving, options: dict[str, Any]) -> None:
    """Text, finish, tokens and log-probabilities, and the pieces grow to the text."""
    seen: list[str] = []
    generate(serving, PROBLEMS[0], **options)  # the next two find the same in the cache
    (whole,) = generate(serving, PROBLEMS[0], **options)
    with text_to(seen.append):
        (streamed,) = generate(serving, PROBLEMS[0], **options)
    assert (streamed.text, streamed.finish, streamed.usage) == (whole.text, whole.finish, whole.usage)
    assert streamed.logprobs == pytest.approx(whole.logprobs, abs=1e-4)
    assert seen[-1].rstrip("\ufffd") == streamed.text.rstrip("\ufffd")
    assert len(seen) > 1
    assert all(later.startswith(text) for text, later in pairwise(seen))


def test_seeds_are_honoured(serving: Serving) -> None:
    """The same seed says the same, others do not."""
    said = [
        generate(serving, "Tell a story.", temperature=1.0, max_step_tokens=24, seed=seed)[0].text
        for seed in (1, 1, 2, 3)
    ]
    assert said[0] == said[1]
    assert len(set(said)) == 3
    several = generate(serving, "Tell a story.", temperature=1.0, max_step_tokens=24, n=3)
    assert len({each.text for each in several}) == 3


def test_the_prompt_is_continued_to_the_byte(serving: Serving) -> None:
    """The server counts the template's tokens and the response's; a trailing delimiter is not trimmed."""
    response = "First, 2 + 2 = 4.\n\n"
    (bare,) = generate(serving, "What is 2+2+2?", max_step_tokens=1)
    (after,) = generate(serving, "What is 2+2+2?", response, max_step_tokens=1)
    tokens = httpx2.post(
        f"{url(serving, 'draft')}/tokenize", json={"prompt": response, "add_special_tokens": False}, trust_env=False
    ).json()["tokens"]
    assert after.usage.prompt - bare.usage.prompt == len(tokens)


def test_a_full_context_is_filled_and_then_named(serving: Serving) -> None:
    """The last step takes the room that is left; without any the run has a reason to stop."""
    bare, one = (generate(serving, "Go on.", text, max_step_tokens=1)[0].usage.prompt for text in ("", " word"))
    assert one == bare + 1
    (last,) = generate(serving, "Go on.", " word" * (CONTEXT - bare - 3), max_step_tokens=200)
    assert last.finish == "length" or last.usage.completion < 3
    assert last.usage.completion <= 3
    with pytest.raises(ContextOverflowError, match=f"the context of .* is {CONTEXT}"):
        generate(serving, "Go on.", " word" * (CONTEXT - bare))


def test_token_counts_are_the_servers(serving: Serving) -> None:
    """Of a whole run, for all three models: prompt, cached and completion."""
    before = {role: counters(url(serving, role)) for role in ROLES}
    (output,) = asyncio.run(run(serving.config, PROBLEMS[:1]))
    usage = output["usage"]
    for role in ROLES:
        after = counters(url(serving, role))
        spent = {name: after[name] - before[role][name] for name in after}
        used: TokenUsage = getattr(usage, role)
        assert used.prompt == spent["prompt"], role
        assert used.completion == spent["completion"], role
        if role != "reward":  # vLLM does not say it in the answers of a pooling model
            assert used.cached == spent["cached"], role
    assert {step.author for step in output["steps"]} == {"draft", "target"}


def test_all_problems_end_though_each_server_is_killed(serving: Serving) -> None:
    """Kill -9 of one after another in the middle of eight problems: none is lost, and all say the same as without."""
    config = serving.config
    undisturbed = asyncio.run(run(config, PROBLEMS))
    kills: dict[int, Role] = {4: "draft", 10: "target", 16: "reward"}
    started = time.monotonic()

    def kill(kept: int) -> None:
        if kept in kills:
            serving.kill(kills.pop(kept))

    disturbed = asyncio.run(run(config, PROBLEMS, kill))
    print(f"\n8 problems with three kills: {time.monotonic() - started:.0f} s")
    assert not kills
    assert serving.output.read_text().count("restarting") >= 3
    assert [each["response"] for each in disturbed] == [each["response"] for each in undisturbed]
    assert [each["stop"] for each in disturbed] == [each["stop"] for each in undisturbed]


def test_a_taken_port_is_told_before_anything_starts(serving: Serving) -> None:
    """A second `rsd serve` of the same file."""
    second = subprocess.run(
        [*RSD, "serve"], check=False, cwd=serving.folder, capture_output=True, text=True, timeout=60
    )
    assert second.returncode == 1
    assert "is already in use" in second.stderr


async def run(
    config: Config, problems: list[str], on_kept: Callable[[int], None] = lambda _: None
) -> list[dict[str, Any]]:
    """Solve the problems side by side; `on_kept` is told how many steps all of them have kept so far."""
    context = RSDSettings(weighting="constant", max_steps=4, max_step_tokens=32)
    kept = 0

    async def solve(problem: str) -> dict[str, Any]:
        nonlocal kept
        output: Any = {}
        async for mode, chunk in graph.astream({"problem": problem}, context=context, stream_mode=["custom", "values"]):
            if mode == "values":
                output = chunk
            elif cast("RSDEvent", chunk)["event"] == "kept":
                kept += 1
                on_kept(kept)
        return cast("dict[str, Any]", output)

    async with assemble(config) as models:
        graph = create_rsd_graph(models.draft, models.target, models.reward)
        return await asyncio.gather(*(solve(problem) for problem in problems))
