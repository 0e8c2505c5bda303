"""`rsd solve`."""

import asyncio
import sys
import time
from typing import Annotated, Any, cast

import typer
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, StreamMode

from rsd_graph.checkpoints import serializer
from rsd_graph.cli.errors import STOPPED_EARLY, exit_codes
from rsd_graph.cli.options import (
    Budget,
    ConfigFile,
    Draft,
    InterruptBelow,
    MaxSteps,
    MaxTokens,
    Preset,
    Review,
    Reward,
    Seed,
    Target,
    Temperature,
    Threshold,
    Tools,
    Weighting,
)
from rsd_graph.cli.solve_view import JSONView, Result, TerminalView, View
from rsd_graph.config import Config, load_config
from rsd_graph.costs import flops
from rsd_graph.errors import ConfigurationError, InvalidProblemError
from rsd_graph.events import RSDEvent
from rsd_graph.overrides import overrides
from rsd_graph.review import may_pause

Graph = CompiledStateGraph[Any, Any, Any, Any]

LONGEST_PROBLEM = 4_000_000
"""Bytes; more than any model's context."""


def solve(
    problem: Annotated[str, typer.Argument(help="The problem, in quotes; - reads it from standard input.")],
    draft: Draft = None,
    target: Target = None,
    reward: Reward = None,
    preset: Preset = None,
    threshold: Threshold = None,
    budget: Budget = None,
    weighting: Weighting = None,
    max_steps: MaxSteps = None,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    seed: Seed = None,
    tools: Tools = None,
    review: Review = None,
    interrupt_below: InterruptBelow = None,
    config: ConfigFile = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line, as things happen, for programs.")
    ] = False,
) -> None:
    """Solve one problem, and show who writes each step.

    Where `--review` or `--interrupt-below` asks you, accept the step, take the draft's, edit it, have it drawn again,
    or stop. With `--json`, the question is a line of its own, and the answer is a line of JSON on standard input.

    Without servers everything runs on this machine; the first run downloads two small models (1.6 GB).

    Exit code: 0 if the solution is complete, 3 if a limit ended it, 1 on an error, 2 for an unknown option, 130 on
    Ctrl-C.
    """
    settings = {
        "threshold": threshold,
        "budget": budget,
        "weighting": weighting,
        "max_steps": max_steps,
        "max_tokens": max_tokens,
        "temperature": temperature,
        "seed": seed,
        "tools": tools,
        "review": review,
        "interrupt_below": interrupt_below,
    }
    view: View = JSONView() if as_json else TerminalView()
    with exit_codes(view):
        chosen = load_config(config, overrides(draft, target, reward, preset, settings))
        if problem == "-" and may_pause(chosen.settings):
            raise ConfigurationError("a review is answered on standard input: pass the problem in quotes, not as -")
        output = asyncio.run(_solve(standard_input() if problem == "-" else problem, chosen, view))
        raise typer.Exit(0 if output["stop"] == "eos" else STOPPED_EARLY)


def standard_input() -> str:
    """The problem from standard input: UTF-8, whatever encoding the locale has."""
    content = sys.stdin.buffer.read(LONGEST_PROBLEM + 1)
    if len(content) > LONGEST_PROBLEM:
        raise InvalidProblemError(f"standard input holds more than a problem: {LONGEST_PROBLEM / 1e6:.0f} MB at most")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InvalidProblemError(f"standard input is not UTF-8: {error}") from error


async def _run(graph: Graph, given: Any, config: Config, view: View) -> Any:
    """Run the graph until it ends or pauses; show its events, and return its output so far."""
    modes: list[StreamMode] = ["custom", "values"]
    if view.is_live:
        modes.append("messages")
    output: Any = None
    mode: str
    chunk: Any
    thread: Any = {"configurable": {"thread_id": "solve"}}
    async for mode, chunk in graph.astream(given, thread, context=config.settings, stream_mode=modes):
        match mode:
            case "custom":
                view.event(cast("RSDEvent", chunk))
            case "messages":
                view.text(chunk[0].text)
            case _:
                output = chunk
    return output


async def _solve(problem: str, config: Config, view: View) -> Any:
    """Run the graph, show its events and its result, and return its output."""
    from rsd_graph.assembly import assemble
    from rsd_graph.graph import create_rsd_graph

    view.loading()
    async with assemble(config, slots=1, progress=view.progress) as models:
        try:
            await models.start()
            view.started()
            graph = create_rsd_graph(
                *models.faster, checkpointer=InMemorySaver(serde=serializer()) if may_pause(config.settings) else None
            )
            output: Any = None
            started = time.monotonic()
            given: Any = {"problem": problem}
            while given is not None:
                output = await _run(graph, given, config, view)
                paused = output.get("__interrupt__")
                given = Command(resume=view.ask(paused[0].value)) if paused else None
            cost = flops(output["usage"], models.parameters) if models.parameters else None
            view.result(Result(output, time.monotonic() - started, cost))
            return output
        finally:
            view.close()
