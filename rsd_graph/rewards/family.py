"""How a family of process reward models describes itself: its name pattern, prompt, head, and vLLM's flags."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rsd_graph.protocols import ScoringBackend
from rsd_graph.state import Score

ScoreLastStep = Callable[[ScoringBackend, str, Sequence[str]], Coroutine[Any, Any, Score]]
"""Scores the last of some steps: (backend, problem, the steps' texts) -> score."""


@dataclass(frozen=True, slots=True)
class Family:
    """Everything that is special to one family of reward models. One file in `rewards.families` defines each."""

    score: Callable[..., Coroutine[Any, Any, Score]]
    """Scores the last step as the model's authors do: a `ScoreLastStep` that also takes `options` by keyword."""
    names: str | None = None
    """Regular expression for the names of its models, on the hub or in a path; case is ignored. None for a family that
    no name gives away."""
    options: tuple[str, ...] = ()
    """Keys of `[reward]` in `rsd.toml` that `score` takes: `centre`, `scale`."""
    head: tuple[str, ...] = ("score",)
    """Linear layers of the reward head in its checkpoints, in order, with a ReLU between two; the default is that of a
    sequence classifier. Read by plain transformers; unused by a family that reads label tokens."""
    markers: tuple[str, ...] = ()
    """Regular expressions of the marks that its prompt sets between steps: problem and steps never contain them as
    such, whether or not control tokens are neutralized (`control_tokens.break_markers`)."""
    vllm_flags: tuple[str, ...] = ()
    """What `vllm serve` has to be told, beyond the model's name."""
    vllm_architectures: Mapping[str, str] = field(default_factory=dict)
    """Architectures that vLLM lacks, each with the class ("module:Class") that our plug-in registers for it."""
