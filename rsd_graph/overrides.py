"""What is chosen in one word each, on a command line or as a solver's arguments, as tables of `rsd.toml`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsd_graph.config import kinds
from rsd_graph.rewards.trained.format import is_reward_file


def overrides(
    draft: str | None, target: str | None, reward: str | None, preset: str | None, settings: Mapping[str, str | None]
) -> dict[str, Any]:
    """What the user has chosen, as `load_config` lays it over rsd.toml.

    Args:
        draft: A server's URL or a GGUF file.
        target: As `draft`.
        reward: See `reward_table`.
        preset: Its name.
        settings: Fields of `RSDSettings`; those that are None are not chosen.
    """
    tables = {
        "preset": preset,
        "draft": None if draft is None else model_table(draft),
        "target": None if target is None else model_table(target),
        "reward": None if reward is None else reward_table(reward),
        "settings": {name: value for name, value in settings.items() if value is not None},
    }
    return {name: table for name, table in tables.items() if table is not None}


def model_table(model: str) -> dict[str, str]:
    """`--draft` or `--target` as a table: where the model is, at a URL or in a file."""
    return {"url": model} if _is_url(model) else {"path": model}


def reward_table(reward: str) -> dict[str, Any]:
    """`--reward` as the table `[reward]`: a URL, a reward file or a kind; or a kind, a colon, and a URL or a file."""
    kind, _, where = reward.partition(":")
    if not where or kind not in kinds():
        if _is_url(reward) or is_reward_file(Path(reward)):
            return model_table(reward)
        return {"kind": reward, "model": None}  # no model: a preset's reward model gives way
    return {**model_table(where), "kind": kind}


def _is_url(text: str) -> bool:
    """Whether it is meant as an address, well-formed or not."""
    return "://" in text or text.lower().startswith(("http:", "https:"))
