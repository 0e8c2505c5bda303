"""Options that several commands share, and how their values become tables of `rsd.toml`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from rsd_graph.config import kinds
from rsd_graph.rewards.trained.format import is_reward_file

ConfigFile = Annotated[
    Path | None, typer.Option(help="Settings file.", show_default="rsd.toml in this folder, if there is one")
]


def place(model: str) -> dict[str, str]:
    """`--draft` or `--target` as a table: where the model is, at a URL or in a file."""
    return {"url": model} if "://" in model else {"path": model}


def reward_table(reward: str) -> dict[str, Any]:
    """`--reward` as the table `[reward]`: a URL, a reward file or a kind; or a kind, a colon, and a URL or a file."""
    kind, _, where = reward.partition(":")
    if not where or kind not in kinds():
        if "://" in reward or is_reward_file(Path(reward)):
            return place(reward)
        return {"kind": reward, "model": None}  # no model: a preset's reward model gives way
    return {**place(where), "kind": kind}
