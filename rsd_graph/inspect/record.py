"""What the log keeps of a run, in the sample's store: all that statistics and reports need."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rsd_graph._internal.machine import machine
from rsd_graph.settings import RSDSettings
from rsd_graph.strategies.outcome import Models, Outcome

STORE = "rsd"
"""The key in the store of a sample."""


def record(
    strategy: str,
    outcome: Outcome,
    models: Models,
    settings: RSDSettings,
    *,
    seconds: float,
    own: Mapping[str, Any],
    rejected: Mapping[int, int],
) -> dict[str, Any]:
    """The record, as JSON values. `rejected` has the tokens of draft steps that were rewritten, by number."""
    return {
        "strategy": strategy,
        "options": dict(own),
        "settings": settings.model_dump(),
        "models": {"draft": models.draft.name, "target": models.target.name, "reward": models.reward.name},
        "parameters": asdict(models.parameters) if models.parameters else None,
        "machine": machine(),
        "seconds": seconds,
        "stop": outcome.stop,
        "answer": outcome.answer,
        "answers": list(outcome.answers),
        "usage": asdict(outcome.usage),
        "steps": [
            {
                "author": step.author,
                "reward": step.reward,
                "tokens": step.tokens,
                "replaced": index in rejected,
                "rejected": rejected.get(index, 0),
                "shadow": outcome.shadow.get(index),
            }
            for index, step in enumerate(outcome.steps)
        ],
    }
