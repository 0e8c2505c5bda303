"""Every strategy as a solver of inspect_ai: `--solver rsd_graph/rsd -S threshold=0.8`."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from inspect_ai.model import ModelOutput, StopReason
from inspect_ai.solver import Generate, Solver, TaskState, solver

from rsd_graph.errors import ConfigurationError
from rsd_graph.inspect.backends import opened
from rsd_graph.inspect.options import Chosen, read_options
from rsd_graph.inspect.record import STORE, record
from rsd_graph.inspect.steps import Steps
from rsd_graph.inspect.usage import record as record_usage
from rsd_graph.settings import with_fields
from rsd_graph.state import Stop
from rsd_graph.strategies.table import STRATEGIES

STOP_REASONS: dict[Stop, StopReason] = {
    "eos": "stop",
    "max_steps": "max_tokens",
    "max_tokens": "max_tokens",
    "context_overflow": "model_length",
    "no_progress": "unknown",
    "stopped": "unknown",
}


def _solver(name: str) -> Callable[..., Solver]:
    """The solver of the strategy with this name."""
    entry = STRATEGIES[name]

    @solver(name=name.replace("-", "_"))
    def strategy(**options: Any) -> Solver:
        chosen = chosen_for(name, options)
        run = entry.make(**chosen.own)
        decided = entry.decides(**chosen.own)
        if ignored := sorted(decided.keys() & options.keys() - chosen.own.keys()):
            raise ConfigurationError(f"{name} decides {', '.join(ignored)} by itself: leave it out")

        async def solve(state: TaskState, generate: Generate) -> TaskState:  # noqa: ARG001  # of the protocol
            models = await opened(chosen.config, chosen)
            settings = with_fields(chosen.settings, {**decided, "seed": seed_of(chosen.settings.seed, state.epoch)})
            steps = Steps(settings)
            started = time.monotonic()
            outcome = await run(models, state.input_text, settings, steps)
            seconds = time.monotonic() - started
            state.store.set(
                STORE,
                record(name, outcome, models, settings, seconds=seconds, own=chosen.own, rejected=steps.rejected),
            )
            state.output = ModelOutput.from_content(
                f"rsd/{name}", outcome.response, stop_reason=STOP_REASONS[outcome.stop]
            )
            state.messages.append(state.output.message)
            record_usage(outcome.usage, models)
            return state

        return solve

    strategy.__doc__ = entry.make.__doc__
    return strategy


def chosen_for(name: str, options: Mapping[str, Any]) -> Chosen:
    """What these options choose for the strategy with this name. Raises as `read_options`."""
    entry = STRATEGIES[name]
    return read_options(options, entry.make, entry.settings, speculates=entry.speculates)


def seed_of(seed: int, epoch: int) -> int:
    """The seed of an epoch, counted from 1: the first has the seed of the settings."""
    return (seed + epoch - 1) % 2**31


SOLVERS = {name: _solver(name) for name in STRATEGIES}
"""Every solver, by the name of its strategy. inspect_ai knows `best-of-n` as `rsd_graph/best_of_n`."""
