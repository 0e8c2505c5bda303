"""The strategies by name: what the command line and the plug-in for inspect_ai offer."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rsd_graph.settings import SAMPLED
from rsd_graph.strategies.alone import draft, target
from rsd_graph.strategies.beam import beam
from rsd_graph.strategies.best_of_n import best_of_n
from rsd_graph.strategies.majority import majority
from rsd_graph.strategies.outcome import Models, Strategy
from rsd_graph.strategies.process_best_of_n import process_best_of_n
from rsd_graph.strategies.rsd import rsd
from rsd_graph.strategies.shadow import require_shadow
from rsd_graph.strategies.spec_reason import decided_by, spec_reason
from rsd_graph.strategies.speculative import require_speculation, speculative


async def _nothing(_: Models, **__: Any) -> None:
    """Any models will do."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A strategy that can be chosen by name."""

    make: Callable[..., Strategy]
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Its defaults of `RSDSettings`, where they are not those of that class."""
    decides: Callable[..., Mapping[str, Any]] = lambda **_: {}
    """Takes its options; returns the fields of `RSDSettings` that they decide, whatever the settings say."""
    requires: Callable[..., Awaitable[None]] = _nothing
    """Takes the models and its options; raises a `ConfigurationError` if it cannot run on these models."""
    speculates: bool = False
    """Whether a target in this process is to speculate, with the draft's weights."""


STRATEGIES: dict[str, Entry] = {
    "draft": Entry(draft),
    "target": Entry(target),
    "rsd": Entry(rsd, requires=require_shadow),
    "majority": Entry(majority, SAMPLED),
    "best-of-n": Entry(best_of_n, SAMPLED),
    "process-best-of-n": Entry(process_best_of_n, SAMPLED),
    "beam": Entry(beam, SAMPLED),
    "spec-reason": Entry(spec_reason, decides=decided_by),
    "speculative": Entry(speculative, requires=require_speculation, speculates=True),
}
