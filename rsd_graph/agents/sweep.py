"""One problem at many thresholds: what they share is written once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import StateSnapshot

from rsd_graph._internal import background
from rsd_graph.agents.calls import Graph
from rsd_graph.checkpoints import is_undecided, serializer
from rsd_graph.decision import is_kept
from rsd_graph.errors import ConfigurationError
from rsd_graph.review import may_pause
from rsd_graph.settings import RSDSettings, with_fields
from rsd_graph.state import RSDOutput, RSDState, Usage

THREAD: RunnableConfig = {"configurable": {"thread_id": "sweep"}}


@dataclass(frozen=True, slots=True)
class AtThreshold:
    """The run at one threshold."""

    threshold: float
    output: RSDOutput
    """As if this run had been alone, its usage too."""
    shared: int
    """How many of its first steps were taken over from the run at a lower threshold."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """The runs of one problem, in the order of the thresholds that were asked for."""

    runs: Sequence[AtThreshold]
    written: int
    """Tokens that the draft and the target wrote."""
    written_apart: int
    """Tokens that they would have written if each run had been alone."""

    @property
    def saved(self) -> float:
        """The share of the tokens, in [0, 1], that did not have to be written."""
        return 1 - self.written / self.written_apart if self.written_apart else 0.0


@dataclass(frozen=True, slots=True)
class _Scored:
    """A checkpoint of a run: its proposal has been scored, and nothing has been made of it yet."""

    config: RunnableConfig
    state: RSDState

    def is_decided_otherwise(self, settings: RSDSettings) -> bool:
        """Whether a run with these settings parts here from the one that the checkpoint is of."""
        return is_kept(self.state, settings) != is_kept(self.state, self.state["settings"])


def threshold_sweep(
    graph: Graph, problem: str, thresholds: Iterable[float], *, settings: RSDSettings | None = None
) -> Sweep:
    """Solve the problem at each threshold.

    Greedy runs at two thresholds are the same up to the first step whose reward lies between them. From the lowest
    threshold upwards, each run is a fork of the one before it, at that step. So n thresholds cost what differs, and two
    thresholds that decide alike cost one run.

    Args:
        graph: As `create_rsd_graph` makes it; with or without a checkpointer, which is not used.
        problem: The question.
        thresholds: Numbers in [0, 1].
        settings: Of every run, but for the threshold; by default the graph's own.

    Raises:
        ConfigurationError: the runs are not greedy, or may pause for a review, or there is no threshold.
        RSDError: a run failed.
    """
    return background.run(athreshold_sweep(graph, problem, thresholds, settings=settings))


async def athreshold_sweep(
    graph: Graph, problem: str, thresholds: Iterable[float], *, settings: RSDSettings | None = None
) -> Sweep:
    """As `threshold_sweep`."""
    wanted = list(thresholds)
    chosen = settings or cast("Any", graph.builder).defaults
    _check(wanted, chosen)
    sweeping = graph.copy({"checkpointer": InMemorySaver(serde=serializer())})
    runs: dict[float, AtThreshold] = {}
    path: list[_Scored] = []
    written = 0
    for threshold in sorted(set(wanted)):
        given = with_fields(chosen, {"threshold": threshold})
        fork = next((scored for scored in path if scored.is_decided_otherwise(given)), None)
        if fork is not None:
            output = cast("RSDOutput", await sweeping.ainvoke(None, fork.config, context=given))
            runs[threshold] = AtThreshold(threshold, output, len(fork.state["steps"]))
            written += _written(output["usage"]) - _written(fork.state["usage"])
        elif runs:
            output = next(reversed(runs.values())).output
            runs[threshold] = AtThreshold(threshold, output, len(output["steps"]))
            continue
        else:
            output = cast("RSDOutput", await sweeping.ainvoke({"problem": problem}, THREAD, context=given))
            runs[threshold] = AtThreshold(threshold, output, 0)
            written += _written(output["usage"])
        path = await _path(sweeping)
    found = [runs[threshold] for threshold in wanted]
    return Sweep(found, written, sum(_written(run.output["usage"]) for run in runs.values()))


def _check(thresholds: Sequence[float], settings: RSDSettings) -> None:
    if not thresholds:
        raise ConfigurationError("a sweep needs at least one threshold")
    if settings.temperature:
        raise ConfigurationError("only greedy runs share their beginnings: set `temperature` to 0")
    if may_pause(settings):
        raise ConfigurationError("nobody is there to review the runs of a sweep: set `review` to off")


async def _path(graph: Graph) -> list[_Scored]:
    """The decisions of the newest run of the thread, in their order. Those of the runs that it left stand beside it."""
    every = {_id(snapshot.config): snapshot async for snapshot in graph.aget_state_history(THREAD)}
    at: StateSnapshot | None = await graph.aget_state(THREAD)
    path: list[_Scored] = []
    while at is not None:
        if is_undecided(at):
            path.append(_Scored(at.config, cast("RSDState", at.values)))
        at = every.get(_id(at.parent_config)) if at.parent_config else None
    return path[::-1]


def _id(config: RunnableConfig) -> str:
    return str(config["configurable"]["checkpoint_id"])


def _written(usage: Usage) -> int:
    return usage.draft.completion + usage.target.completion
